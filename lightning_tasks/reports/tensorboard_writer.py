"""What writes a run's events for TensorBoard, and when."""

from typing import TYPE_CHECKING

from pytorch_lightning import Trainer
from pytorch_lightning.loggers import TensorBoardLogger

if TYPE_CHECKING:  # predictions have no use for TensorBoard, whose import takes a third of a second
    from torch.utils.tensorboard import SummaryWriter


def tensorboard_writer(trainer: Trainer) -> "SummaryWriter | None":
    """Return what writes the run's events; None on other processes, and where none are written."""
    if not trainer.is_global_zero:
        return None
    return next((logger.experiment for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)), None)


def validation_writer(trainer: Trainer) -> "SummaryWriter | None":
    """Return what `tensorboard_writer` does, within a fit; None in a sanity check and in a validation of its own."""
    return tensorboard_writer(trainer) if trainer.state.fn == "fit" and not trainer.sanity_checking else None


def validation_step(trainer: Trainer) -> int:
    """Return the step of the validation's scalars, so that a resumed run drops both or neither."""
    return max(0, trainer.global_step - 1)
