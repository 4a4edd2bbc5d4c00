"""Where a run's files lie."""

import os
from pathlib import Path

from pytorch_lightning import Trainer


def run_folder(trainer: Trainer) -> Path:
    """Return the Trainer's `default_root_dir` where one was given, else its first logger's folder.

    To be called on every process: it is the first one's.
    """
    folder = trainer.default_root_dir if has_own_folder(trainer) else trainer.log_dir or trainer.default_root_dir
    return Path(trainer.strategy.broadcast(folder))


def has_own_folder(trainer: Trainer) -> bool:
    """Return whether the Trainer was given a `default_root_dir`."""
    return os.path.realpath(trainer.default_root_dir) != os.path.realpath(os.curdir)


RUN_FOLDER = "run_folder"  # the entry of a checkpoint that names it


def last_checkpoint(folder: Path) -> Path:
    """Return where a run keeps the checkpoint that it can be resumed from."""
    return folder / "checkpoints" / "last.ckpt"
