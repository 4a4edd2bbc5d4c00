"""What the verbs of a checkpoint share: its predictions of a split, and the files that none may write over."""

from pathlib import Path

import pytorch_lightning as pl

from lightning_tasks.checkpoint import read_checkpoint
from lightning_tasks.data.datamodule import ImageDataModule
from lightning_tasks.tasks.registry import task_of_both
from lightning_tasks.tasks.split_predictions import Split, SplitPredictions, load_weights


def predictions_of(
    trainer: pl.Trainer, model: pl.LightningModule, datamodule: pl.LightningDataModule, ckpt_path: str, split: Split
) -> SplitPredictions:
    """Return what a checkpoint predicts for a split; the model gets its weights. ConfigError: data of another task.

    Warn where it was trained on rows that are for validation now.
    """
    load_weights(model, Path(ckpt_path))
    if split == "valid" and isinstance(datamodule, ImageDataModule):
        datamodule.doubt_split(read_checkpoint(Path(ckpt_path)), ckpt_path)
    model.to(trainer.strategy.root_device)
    with trainer.strategy.precision_plugin.forward_context():
        return task_of_both(model, datamodule).predict_split(model, datamodule, split)


def tables_of(datamodule: pl.LightningDataModule) -> list[Path]:
    """Return the user's own tables, which nothing must be written over."""
    return [path for name in ("csv", "test_csv") if isinstance(path := getattr(datamodule, name, None), Path)]
