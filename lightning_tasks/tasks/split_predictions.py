"""What a model says of a whole split, beside what is true."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from pytorch_lightning import LightningDataModule, LightningModule
from torch import Tensor
from torch.utils.data import DataLoader

from lightning_tasks.batch import IGNORED, KeypointBatch, MultiLabelBatch
from lightning_tasks.callbacks.skipped import tell_skipped
from lightning_tasks.checkpoint import read_checkpoint
from lightning_tasks.csv_text import apart, renamed, separator_for, write_csv
from lightning_tasks.errors import CheckpointError, ConfigError, what_is_wrong
from lightning_tasks.tasks import KeypointDataModule, KeypointRegressor, MultiLabelClassifier, MultiLabelDataModule
from lightning_tasks.tasks.keypoints.scores import original_points_px
from lightning_tasks.tasks.multiclass.one_label import check_one_label
from lightning_tasks.tasks.multilabel.label_cells import AUTO, BLANK, WHOLE

Split = Literal["train", "valid", "test"]
LABEL_COLUMNS = ("fname", "labels", "predicted", "ignored")  # then the labels
Batch = TypeVar("Batch", MultiLabelBatch, KeypointBatch)


@dataclass(frozen=True)
class LabelPredictions:
    """N images in the split's order."""

    probabilities: Tensor  # (N, C) float32
    targets: Tensor  # (N, C) float32, 1 where the image has the label
    rows: Tensor  # (N,) int64, which samples of the split they are
    paths: tuple[Path, ...]  # N files
    groups: tuple[str, ...]  # N names, or none
    logits: Tensor  # (N, C) float32, before the temperature
    white_level: int | None = None  # of the files of more than 8 bits


@dataclass(frozen=True)
class PointPredictions:
    """N images in the split's order."""

    points_norm: Tensor  # (N, P, 2) float32, on the −1..1 scale
    targets_norm: Tensor  # (N, P, 2) float32
    visible: Tensor  # (N, P) bool
    original_size_px: Tensor  # (N, 2) float32, width and height of the image on disk
    rows: Tensor  # (N,) int64, which samples of the split they are
    paths: tuple[Path, ...]  # N files
    groups: tuple[str, ...]  # N names, or none
    points_px: Tensor  # (N, P, 2) float32, in the pixels of the image on disk
    targets_px: Tensor  # (N, P, 2) float32, likewise; NaN where not visible
    white_level: int | None = None  # of the files of more than 8 bits


def label_predictions(
    model: MultiLabelClassifier, datamodule: MultiLabelDataModule, split: Split = "valid"
) -> LabelPredictions:
    """Return the probabilities of a split's images: fastai's `get_preds`.

    The model stays on its device and goes back to the mode that it was in. `train` is augmented, in a shuffled order,
    without the last, partial batch.

    Raises:
        LightningTasksError: files cannot be read, or the predictions are not finite.
    """
    loader: DataLoader[MultiLabelBatch] = _loader(datamodule, split)
    if model.thresholds is None:
        check_one_label(datamodule)
    parts = [
        (model.uncalibrated(batch.images).cpu(), batch.targets.cpu(), batch.rows.cpu())
        for batch in _batches(model, loader)
    ]
    logits, targets, rows = (torch.cat(column) for column in zip(*parts, strict=True))
    probabilities = model.activation(logits / model.temperature)
    _require_finite(probabilities)
    files = _files(datamodule, split, rows)
    return LabelPredictions(probabilities, targets, rows, *files, logits, datamodule.white_level)


def point_predictions(
    model: KeypointRegressor, datamodule: KeypointDataModule, split: Split = "valid"
) -> PointPredictions:
    """Return the points of a split's images, as `label_predictions` does for labels."""
    loader: DataLoader[KeypointBatch] = _loader(datamodule, split)
    parts = [
        (model.predict_step(batch).cpu(), *(tensor.cpu() for tensor in batch[1:])) for batch in _batches(model, loader)
    ]
    points, targets, visible, sizes, rows = (torch.cat(column) for column in zip(*parts, strict=True))
    _require_finite(points)
    targets_px = original_points_px(targets, datamodule.image_size, sizes)
    targets_px[~visible] = torch.nan
    return PointPredictions(
        points,
        targets,
        visible,
        sizes,
        rows,
        *_files(datamodule, split, rows),
        original_points_px(points, datamodule.image_size, sizes),
        targets_px,
        datamodule.white_level,
    )


def load_weights(model: LightningModule, path: Path) -> None:
    """Give a model a checkpoint's weights.

    Raises:
        CheckpointError: they cannot be read, or are another model's.
    """
    checkpoint = read_checkpoint(path)
    model.on_load_checkpoint(checkpoint)
    try:
        model.load_state_dict(checkpoint["state_dict"])
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} does not fit {type(model).__name__} ({what_is_wrong(error)}). Give the config that it was trained "
            "with, or take another."
        ) from error


def write_predictions(
    path: Path,
    found: LabelPredictions | PointPredictions,
    model: LightningModule,
    datamodule: LightningDataModule,
    *,
    excel: bool,
) -> list[str]:
    """Write a csv of what a model says of a split; return a sentence for each label that has another name in it."""
    if isinstance(found, PointPredictions):
        assert isinstance(model, KeypointRegressor)
        write_point_predictions(path, found, model.point_names, excel=excel)
        return []
    assert isinstance(model, MultiLabelClassifier)
    assert isinstance(datamodule, MultiLabelDataModule)
    predicted = model.predicted(found.probabilities)
    wanted = datamodule.label_separator
    separator = separator_for(model.vocab, BLANK if wanted in (AUTO, WHOLE) else wanted)
    write_label_predictions(path, found, model.vocab, predicted, separator, excel=excel)
    return renamed(model.vocab, LABEL_COLUMNS)


def write_label_predictions(
    path: Path,
    found: LabelPredictions,
    vocab: Sequence[str],
    predicted: Tensor,
    separator: str,
    *,
    excel: bool = False,
) -> None:
    """Write a csv: file, true labels, predicted labels, those that do not count, and each label's probability.

    Args:
        path: of the csv; `-`: standard output.
        found: the predictions.
        vocab: the C labels; one that is called like another column gets another name.
        predicted: (N, C) bool.
        separator: to stand between labels.
        excel: see `write_csv`.
    """

    def names(chosen: Tensor) -> str:
        return separator.join(label for label, on in zip(vocab, chosen, strict=True) if on)

    table = [[*LABEL_COLUMNS, *apart(vocab, LABEL_COLUMNS)]]
    for name, target, chosen, row in zip(found.paths, found.targets, predicted, found.probabilities, strict=True):
        labels = (names(target == 1), names(chosen), names(target == IGNORED))
        table.append([str(name), *labels, *(f"{p:.6f}" for p in row.tolist())])
    write_csv(path, table, excel=excel)


def write_point_predictions(
    path: Path, found: PointPredictions, point_names: Sequence[str], *, excel: bool = False
) -> None:
    """Write a csv in pixels of the images on disk: predicted places, and the annotated ones where there are any."""
    columns = [f"{name}_{axis}" for name in point_names for axis in "xy"]
    table = [["fname", *columns, *(f"{column}_annotated" for column in columns)]]
    for name, points, targets in zip(found.paths, found.points_px, found.targets_px, strict=True):
        annotated = ["" if value != value else f"{value:.2f}" for value in targets.flatten().tolist()]
        table.append([str(name), *(f"{value:.2f}" for value in points.flatten().tolist()), *annotated])
    write_csv(path, table, excel=excel)


def _require_finite(predictions: Tensor) -> None:
    if not predictions.isfinite().all():
        raise ConfigError(
            "The model predicts NaN: its training diverged. Take an earlier checkpoint, or train at a lower rate."
        )


def _loader(datamodule: MultiLabelDataModule | KeypointDataModule, split: Split) -> DataLoader[Any]:
    datamodule.setup("test" if split == "test" else "fit")
    loaders = {"train": datamodule.train_dataloader, "valid": datamodule.val_dataloader}
    return loaders.get(split, datamodule.test_dataloader)()


def _files(
    datamodule: MultiLabelDataModule | KeypointDataModule, split: Split, rows: Tensor
) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    dataset = getattr(datamodule, f"{split}_set")
    groups = tuple(dataset.groups[row] for row in rows) if dataset.groups else ()
    return tuple(dataset.paths[row] for row in rows), groups


def _batches(model: LightningModule, loader: DataLoader[Batch]) -> Iterator[Batch]:
    with evaluating(model), torch.inference_mode():
        for batch in loader:
            yield type(batch)(*(tensor.to(model.device) for tensor in batch))
    tell_skipped(loader)


@contextlib.contextmanager
def evaluating(model: LightningModule) -> Iterator[None]:
    """Put every layer into evaluation mode, and back into the mode that it was in."""
    training = [module.training for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in zip(model.modules(), training, strict=True):
            module.training = mode
