"""How the weights move."""

from lightning_tasks.training.fine_tune import FineTune
from lightning_tasks.training.last_checkpoint import LastCheckpoint
from lightning_tasks.training.lr_finder import LRFinder
from lightning_tasks.training.one_cycle import OneCycle
from lightning_tasks.training.step_seed import StepSeed

__all__ = ["FineTune", "LRFinder", "LastCheckpoint", "OneCycle", "StepSeed"]
