"""Which images an epoch went without."""

from pytorch_lightning import Callback, LightningModule, Trainer

from lightning_tasks.reports.terminal import tell_skipped


class SkippedImages(Callback):
    """Print, after each epoch and each validation, how many images could not be read, and which."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print those of training."""
        tell_skipped(trainer.train_dataloader)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print those of validation."""
        tell_skipped(trainer.val_dataloaders)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print those of the test table."""
        tell_skipped(trainer.test_dataloaders)
