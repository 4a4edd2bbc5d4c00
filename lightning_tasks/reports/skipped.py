"""Which pictures an epoch went without."""

from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer


class SkippedPictures(Callback):
    """Print, after each epoch and each validation, how many pictures could not be read, and which."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print those of training."""
        tell_skipped(trainer.train_dataloader)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print those of validation."""
        tell_skipped(trainer.val_dataloaders)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print those of the test table."""
        tell_skipped(trainer.test_dataloaders)


def tell_skipped(loader: object) -> None:
    """Print which pictures of a loader were skipped, if any, and forget them."""
    skipped: Any = getattr(getattr(loader, "dataset", None), "skipped", None)
    if skipped is not None:
        skipped.tell()
