"""What a training does beside its steps."""

from lightning_tasks.callbacks.fine_tune import FineTune
from lightning_tasks.callbacks.last_checkpoint import LastCheckpoint
from lightning_tasks.callbacks.linear_probe import LinearProbe
from lightning_tasks.callbacks.lr_finder import LRFinder
from lightning_tasks.callbacks.one_cycle import OneCycle
from lightning_tasks.callbacks.step_seed import StepSeed

__all__ = ["FineTune", "LRFinder", "LastCheckpoint", "LinearProbe", "OneCycle", "StepSeed"]
