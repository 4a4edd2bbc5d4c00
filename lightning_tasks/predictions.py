"""What a model says of a whole split, beside what is true."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import torch
from pytorch_lightning import LightningModule
from torch import Tensor
from torch.utils.data import DataLoader

from lightning_tasks.batch import KeypointBatch, MultiLabelBatch
from lightning_tasks.data import KeypointDataModule, MultiLabelDataModule
from lightning_tasks.tasks import KeypointRegressor, MultiLabelClassifier

Split = Literal["train", "valid", "test"]
Batch = TypeVar("Batch", MultiLabelBatch, KeypointBatch)


@dataclass(frozen=True)
class LabelPredictions:
    """N pictures in the split's order."""

    probabilities: Tensor  # (N, C) float32
    targets: Tensor  # (N, C) float32, 1 where the picture has the label
    rows: Tensor  # (N,) int64, which samples of the split they are


@dataclass(frozen=True)
class PointPredictions:
    """N pictures in the split's order."""

    points_norm: Tensor  # (N, P, 2) float32, on the −1..1 scale
    targets_norm: Tensor  # (N, P, 2) float32
    visible: Tensor  # (N, P) bool
    original_size_px: Tensor  # (N, 2) float32, width and height of the picture on disk
    rows: Tensor  # (N,) int64, which samples of the split they are


def label_predictions(
    model: MultiLabelClassifier, datamodule: MultiLabelDataModule, split: Split = "valid"
) -> LabelPredictions:
    """Return the probabilities of a split's pictures: fastai's `get_preds`.

    The model stays on its device and goes back to the mode that it was in. `train` is augmented, in a shuffled order.
    """
    loader: DataLoader[MultiLabelBatch] = _loader(datamodule, split)
    parts = [
        (model.predict_step(batch).cpu(), batch.targets.cpu(), batch.rows.cpu()) for batch in _batches(model, loader)
    ]
    return LabelPredictions(*(torch.cat(column) for column in zip(*parts, strict=True)))


def point_predictions(
    model: KeypointRegressor, datamodule: KeypointDataModule, split: Split = "valid"
) -> PointPredictions:
    """Return the points of a split's pictures, as `label_predictions` does for labels."""
    loader: DataLoader[KeypointBatch] = _loader(datamodule, split)
    parts = [
        (model.predict_step(batch).cpu(), *(tensor.cpu() for tensor in batch[1:])) for batch in _batches(model, loader)
    ]
    return PointPredictions(*(torch.cat(column) for column in zip(*parts, strict=True)))


def _loader(datamodule: MultiLabelDataModule | KeypointDataModule, split: Split) -> DataLoader[Any]:
    datamodule.setup("test" if split == "test" else "fit")
    loaders = {"train": datamodule.train_dataloader, "valid": datamodule.val_dataloader}
    return loaders.get(split, datamodule.test_dataloader)()


def _batches(model: LightningModule, loader: DataLoader[Batch]) -> Iterator[Batch]:
    training = [module.training for module in model.modules()]
    model.eval()
    try:
        with torch.inference_mode():
            for batch in loader:
                yield type(batch)(*(tensor.to(model.device) for tensor in batch))
    finally:
        for module, mode in zip(model.modules(), training, strict=True):
            module.training = mode
