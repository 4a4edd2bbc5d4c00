"""A linear probe: the frozen backbone's features, and the head that suits them; an ordinary run comes of it."""

import pytorch_lightning as pl

from lightning_tasks.callbacks import LinearProbe
from lightning_tasks.callbacks.linear_probe import require_probe
from lightning_tasks.reports.terminal import tell_skipped


def run(
    trainer: pl.Trainer,
    model: pl.LightningModule,
    datamodule: pl.LightningDataModule,
    views: int = 2,
    folds: int = 5,
) -> LinearProbe:
    """Fit the head to features of the frozen backbone, and leave a run's folder, checkpoints and scores.

    Args:
        views: of each training image that the backbone sees.
        folds: of the cross-validation that chooses weight decay and rate.
    """
    require_probe(trainer, model, datamodule)  # before images are decoded
    probe = LinearProbe(views, folds, only=True)
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]  # Lightning sets it at run time
    callbacks.insert(0, probe)
    trainer.fit(model, datamodule=datamodule)
    tell_skipped(trainer.train_dataloader)
    return probe
