"""Which images an epoch went without."""

from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from lightning_tasks.reports.terminal import print_line


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


def tell_skipped(source: object) -> None:
    """Print which images of a loader, or of a dataset, were skipped, if any, and forget them."""
    skipped: Any = getattr(getattr(source, "dataset", source), "skipped", None)
    if skipped is not None and (line := skipped.report()):
        print_line(line)  # each process of its own share: `trainer.print` would leave out those of all but the first
