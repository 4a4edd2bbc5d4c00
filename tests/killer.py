"""Callbacks that end a run at a chosen step."""

import os
import signal

from pytorch_lightning import Callback


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
