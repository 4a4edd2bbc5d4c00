"""The callback that ends a training in order when the system asks for it."""

import signal
import sys
import threading
from types import FrameType
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from lightning_tasks.callbacks.last_checkpoint import LastCheckpoint, settle_checkpoints
from lightning_tasks.training import slurm
from lightning_tasks.training.processes import is_watched

_SIGNAL_EXIT = 128  # what a shell adds to a signal's number
_NOTICE = int(getattr(signal, "SIGUSR1", -1))  # SLURM's; there is none on Windows
_ORDER = [0, int(signal.SIGINT), int(signal.SIGTERM), _NOTICE]  # none, and then the one that decides


class StopSignals(Callback):
    """After SIGINT (Ctrl-C) or SIGTERM, finish the step, save, and leave with 130 or 143.

    A second Ctrl-C does not wait. Under SLURM also after SIGUSR1, which `sbatch --signal=SIGUSR1@90` sends before the
    time is up: the job is put back into the queue, and exits with 0.

    A step is finished where `last` saves too: before the next batch; a validation that runs is completed first, and
    LRFinder's sweep. All processes stop at the same step, whichever of them the signal reached. The loaders' processes
    of our data modules leave such signals to this one; those of another's end by them, and then nothing is saved.

    Args:
        last: saves the checkpoint that the run is resumed from.
    """

    def __init__(self, last: LastCheckpoint) -> None:
        self.last = last
        self._received, self._step = 0, -1
        self._before: dict[int, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the signals over: Lightning's own handlers save nothing, and broadcast in the midst of a step."""
        self._received, self._step = 0, -1
        if threading.current_thread() is not threading.main_thread():
            return  # it gets no signals
        wanted = _ORDER[1:] if slurm.job() else _ORDER[1:3]
        # A shell has what runs in the background ignore Ctrl-C; a handler that is not Python's could not be put back.
        wanted = [number for number in wanted if signal.getsignal(number) not in (signal.SIG_IGN, None)]
        self._before = {number: signal.signal(number, self._note) for number in wanted}

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        """Leave, if asked to, where a step is complete."""
        complete = batch_idx == 0 or trainer.global_step != self._step  # accumulated batches share a step
        self._step = trainer.global_step
        if complete and trainer.strategy.reduce_boolean_decision(bool(self._received), all=False):
            self._leave(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Give the signals back; and leave in order where one ended the processes that load."""
        self.on_train_end(trainer, pl_module)
        if self._received and isinstance(exception, RuntimeError) and "DataLoader worker" in str(exception):
            print(f"stopped: the loader's processes were ended too; see {self.last.path}", file=sys.stderr)
            raise SystemExit(_SIGNAL_EXIT + self._received)

    def leave_if_asked(self, trainer: Trainer, what: str) -> None:
        """Leave after a training that was complete before a signal could end it, where more was to come after `what`.

        Raises:
            SystemExit: a signal came.
        """
        if not self._received:
            return
        if self._received == _NOTICE:
            slurm.requeue()
            raise SystemExit(0)
        trainer.print(f"stopped after {what}; --ckpt_path last resumes from there")
        raise SystemExit(_SIGNAL_EXIT + self._received)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == self._received == signal.SIGINT:
            raise KeyboardInterrupt
        # SLURM's SIGTERM may follow its notice, and takes nothing back.
        self._received = max(self._received, number, key=_ORDER.index)
        again = "; again: at once" if number == signal.SIGINT else ""
        print(f"\n{signal.Signals(number).name}: stopping after this step{again}", file=sys.stderr, flush=True)

    def _leave(self, trainer: Trainer) -> None:
        self.last.save(trainer)
        settle_checkpoints(trainer)
        mine = torch.tensor(_ORDER.index(self._received), device=trainer.strategy.root_device)
        received = _ORDER[int(trainer.strategy.reduce(mine, reduce_op="max"))]  # another process may have got it
        if received == _NOTICE:
            if trainer.is_global_zero:
                slurm.requeue()
            raise SystemExit(0)
        trainer.print(f"stopped at step {trainer.global_step}; --ckpt_path last resumes from there")
        raise SystemExit(0 if is_watched(trainer) else _SIGNAL_EXIT + received)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give the signals back: the run is complete."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
