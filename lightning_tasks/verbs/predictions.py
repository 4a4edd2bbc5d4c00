"""What the verbs of a checkpoint share: its predictions of a split, and the files that none may write over."""

from pathlib import Path

import pytorch_lightning as pl

from lightning_tasks.errors import ConfigError
from lightning_tasks.tasks import KeypointDataModule, KeypointRegressor, MultiLabelClassifier, MultiLabelDataModule
from lightning_tasks.tasks.split_predictions import (
    LabelPredictions,
    PointPredictions,
    Split,
    label_predictions,
    load_weights,
    point_predictions,
)


def predictions_of(
    trainer: pl.Trainer, model: pl.LightningModule, datamodule: pl.LightningDataModule, ckpt_path: str, split: Split
) -> LabelPredictions | PointPredictions:
    """Return what a checkpoint says of a split; the model gets its weights.

    Raises:
        ConfigError: model and data are not of one task.
    """
    load_weights(model, Path(ckpt_path))
    model.to(trainer.strategy.root_device)
    with trainer.strategy.precision_plugin.forward_context():
        if isinstance(model, MultiLabelClassifier) and isinstance(datamodule, MultiLabelDataModule):
            return label_predictions(model, datamodule, split)
        if isinstance(model, KeypointRegressor) and isinstance(datamodule, KeypointDataModule):
            return point_predictions(model, datamodule, split)
    raise ConfigError(f"Labels or points are predicted, not {type(model).__name__} on {type(datamodule).__name__}.")


def tables_of(datamodule: pl.LightningDataModule) -> list[Path]:
    """Return the user's own tables, which nothing must be written over."""
    return [path for name in ("csv", "test_csv") if isinstance(path := getattr(datamodule, name, None), Path)]
