"""Callbacks that end a run at a chosen step."""

import hashlib
import multiprocessing
import os
import signal
import time
from pathlib import Path

from pytorch_lightning import Callback

from lightning_tasks.tasks.multilabel.threshold_curve import ThresholdCurve


class Killer(Callback):
    """SIGKILL in the named hook, once `step` steps were made."""

    def __init__(self, step: int, moment: str) -> None:
        setattr(self, moment, self._kill_at(step))

    def _kill_at(self, step):
        def hook(trainer, *args, **kwargs):
            if trainer.global_step >= step:
                os.kill(os.getpid(), signal.SIGKILL)

        return hook


class Stopped(Exception):  # noqa: N818 - no error
    pass


class Stopper(Callback):
    """Raise before a step's first batch: as sudden for the run's files as a kill, and much faster to test."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer, *args):
        if trainer.global_step == self.step:
            raise Stopped


class StopAfter(Callback):
    """End the run in order, as a limit of time does."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_train_batch_end(self, trainer, *args):
        if trainer.global_step >= self.steps:
            trainer.should_stop = True


class EpochStarts(Callback):
    """Write the number of each epoch that starts."""

    def __init__(self, file: str) -> None:
        self.file = Path(file)

    def on_train_epoch_start(self, trainer, *args):
        with self.file.open("a") as file:
            file.write(f"{trainer.current_epoch}\n")


class Recorder(Callback):
    """Write what each process has after each step: a line `step|all parameters|convolutions of the body|lr`."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def on_train_batch_end(self, trainer, pl_module, *args):
        line = [trainer.global_step, digest(pl_module.parameters())]
        line += [digest(p for p in pl_module.backbone.parameters() if p.ndim > 1), pl_module.lr]
        with Path(self.folder, f"rank{trainer.global_rank}").open("a") as file:
            file.write("|".join(map(str, line)) + "\n")


class RowRecorder(Callback):
    """Write which rows each process trains on: a line of them a step."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, *args):
        with Path(self.folder, f"rows{trainer.global_rank}").open("a") as file:
            file.write(" ".join(map(str, batch.rows.tolist())) + "\n")


class CurveRecorder(Callback):
    """Write the accuracies at the thresholds that each process has after a validation, over the ones before."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def on_validation_end(self, trainer, *args):
        (curve,) = (callback for callback in trainer.callbacks if isinstance(callback, ThresholdCurve))
        accuracies, _ = curve.accuracies.compute()
        Path(self.folder, f"curve{trainer.global_rank}").write_text(" ".join(map(str, accuracies.tolist())))


def digest(tensors):
    return hashlib.sha256(b"".join(t.detach().numpy().tobytes() for t in tensors)).hexdigest()[:16]


class Sender(Callback):
    """Send this process a signal in the named hook, once `step` steps were made."""

    def __init__(self, number: int, step: int, moment: str, times: int = 1) -> None:
        self.left = times

        def hook(trainer, *args, **kwargs):
            while trainer.global_step >= step and self.left:
                self.left -= 1
                os.kill(os.getpid(), number)

        setattr(self, moment, hook)


class LoaderLoss(Callback):
    """Before a step, send this process SIGTERM, and kill one of those that load for it."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_before_backward(self, trainer, *args):
        if trainer.global_step == self.step:
            os.kill(os.getpid(), signal.SIGTERM)
            multiprocessing.active_children()[0].kill()
            time.sleep(10)  # until torch notices


class Poison(Callback):
    """Make the last weights NaN before a step, on one process; or, with `gradient`, what moves them infinite."""

    def __init__(self, step: int, rank: int = 0, gradient: bool = False) -> None:
        self.step = step
        self.rank = rank
        self.gradient = gradient

    def on_train_batch_start(self, trainer, pl_module, *args):
        if trainer.global_step == self.step and trainer.global_rank == self.rank and not self.gradient:
            list(pl_module.parameters())[-1].data.fill_(float("nan"))

    def on_before_optimizer_step(self, trainer, pl_module, *args):
        if trainer.global_step == self.step and self.gradient:
            list(pl_module.parameters())[-1].grad.fill_(float("inf"))


class Sleeper(Callback):
    """Say so in a file, and sleep before the training begins."""

    def __init__(self, file: str) -> None:
        self.file = Path(file)

    def setup(self, *args, **kwargs):
        self.file.touch()
        time.sleep(60)
