"""The callback that ends a training in order when the system asks for it."""

import signal
import sys
from types import FrameType
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from lightning_tasks.training import slurm
from lightning_tasks.training.last_checkpoint import LastCheckpoint

_SIGNAL_EXIT = 128  # what a shell adds to a signal's number


class StopSignals(Callback):
    """After SIGINT (Ctrl-C) or SIGTERM, finish the step, save, and leave with 130 or 143.

    A second Ctrl-C does not wait. Under SLURM also after SIGUSR1, which `sbatch --signal=SIGUSR1@90` sends before the
    time is up: the job is put back into the queue, and exits with 0.

    A step is finished where `last` saves too: before the next batch; a validation that runs is completed first. All
    processes stop at the same step, whichever of them the signal reached.

    Args:
        last: saves the checkpoint that the run goes on from.
    """

    def __init__(self, last: LastCheckpoint) -> None:
        self.last = last
        self._received: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}
        self._step = -1

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the signals over: Lightning's own handlers save nothing, and broadcast in the midst of a step."""
        self._received, self._step = None, -1
        wanted = [signal.SIGINT, signal.SIGTERM, *([signal.SIGUSR1] if slurm.job() else [])]
        wanted = [number for number in wanted if signal.getsignal(number) != signal.SIG_IGN]  # in the background, say
        self._before = {number: signal.signal(number, self._note) for number in wanted}

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        """Leave, if asked to, where a step is complete."""
        complete = batch_idx == 0 or trainer.global_step != self._step  # accumulated batches share a step
        self._step = trainer.global_step
        if complete and trainer.strategy.reduce_boolean_decision(self._received is not None, all=False):
            self._leave(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give the signals back: the run is complete."""
        self._give_back()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Give the signals back."""
        self._give_back()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self._received == signal.SIGINT:
            raise KeyboardInterrupt
        self._received = signal.Signals(number)
        again = "; again: at once" if number == signal.SIGINT else ""
        print(f"\n{self._received.name}: stopping after this step{again}", file=sys.stderr, flush=True)

    def _leave(self, trainer: Trainer) -> None:
        self.last.save(trainer)
        mine = torch.tensor(int(self._received or 0), device=trainer.strategy.root_device)
        received = int(trainer.strategy.reduce(mine, reduce_op="max"))  # it may have reached another process alone
        if received == signal.SIGUSR1:
            if trainer.is_global_zero:
                slurm.requeue()
            raise SystemExit(0)
        trainer.print(f"stopped at step {trainer.global_step}; --ckpt_path last goes on from there")
        # A process that Lightning started is watched by it, and all are killed where one fails.
        watched = trainer.local_rank > 0 and not _started_by_others(trainer)
        raise SystemExit(0 if watched else _SIGNAL_EXIT + received)

    def _give_back(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}


def _started_by_others(trainer: Trainer) -> bool:
    environment = trainer._accelerator_connector.cluster_environment
    return environment.creates_processes_externally
