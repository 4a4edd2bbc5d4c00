"""Which pictures an epoch went without."""

from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from lightning_tasks.reports.terminal import print_line

_LISTED = 5


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
    if skipped is None or not len(skipped):
        return
    names = [str(path) for path in skipped.paths[:_LISTED]]
    more = f" and {len(skipped) - _LISTED:,} more" if len(skipped) > _LISTED else ""
    # Each process of its own share: `trainer.print` would leave out those of all but the first.
    print_line(f"skipped {len(skipped):,} of {skipped.of:,} {skipped.split} pictures: {', '.join(names)}{more}")
    skipped.clear()
