"""How the weights move."""

from lightning_tasks.training.fine_tune import FineTune
from lightning_tasks.training.one_cycle import OneCycle

__all__ = ["FineTune", "OneCycle"]
