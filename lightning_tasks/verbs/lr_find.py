"""A sweep over learning rates, which trains nothing."""

import pytorch_lightning as pl

from lightning_tasks.callbacks import LRFinder
from lightning_tasks.reports.terminal import tell_skipped


def run(
    trainer: pl.Trainer,
    model: pl.LightningModule,
    datamodule: pl.LightningDataModule,
    min_lr: float = 1e-7,
    max_lr: float = 10.0,
    steps: int = 100,
) -> LRFinder:
    """Sweep learning rates over the training data, print what the curve suggests, and train nothing.

    Args:
        min_lr: where the sweep starts.
        max_lr: where it would end.
        steps: how many batches it takes.
    """
    finder = LRFinder(min_lr, max_lr, steps, only=True)
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]  # Lightning sets it at run time
    callbacks.insert(0, finder)
    try:
        trainer.fit(model, datamodule=datamodule)
    finally:
        callbacks.remove(finder)
    tell_skipped(trainer.train_dataloader)  # the sweep stops before an epoch's end, which tells it otherwise
    return finder
