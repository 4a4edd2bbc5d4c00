"""What the data is, and what happens to one sample on its way to the model: fastai's `DataBlock.summary`."""

import contextlib
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_tasks.callbacks.skipped import tell_skipped
from lightning_tasks.data.loading.dataset import EpochIndex, sample_seed
from lightning_tasks.data.transforms.compose import augment_image, augment_points
from lightning_tasks.errors import ConfigError, ImageError, LightningTasksError
from lightning_tasks.tasks import KeypointDataModule, MultiLabelDataModule
from lightning_tasks.tasks.keypoints.dataset import KeypointDataset, collate_keypoints, points_in
from lightning_tasks.tasks.multilabel.dataset import MultiLabelDataset, collate_multilabel

_BATCH = 4
_NAMED = 30


def run(trainer: pl.Trainer, model: None, datamodule: pl.LightningDataModule) -> None:
    """Print what was found, and one sample and one batch on their way to the device, step by step."""
    if not isinstance(datamodule, (MultiLabelDataModule, KeypointDataModule)):
        raise ConfigError(f"summary knows labels and points, not {type(datamodule).__name__}.")
    print(summary(datamodule, trainer.strategy.root_device))
    tell_skipped(datamodule.train_set)


def summary(datamodule: MultiLabelDataModule | KeypointDataModule, device: torch.device) -> str:
    """Return, for a person: what was found, statistics, one sample step by step, and a batch of four on the device.

    Raises:
        LightningTasksError: a step failed; the message names it and the sample.
    """
    lines = [datamodule.describe(), ""]
    dataset = datamodule.train_set
    rows = list(islice(_readable(dataset), _BATCH))
    if isinstance(datamodule, MultiLabelDataModule):
        lines += [*_labels(datamodule), "", *_label_sample(datamodule, rows[0])]
        collate: Callable[[Any], Any] = collate_multilabel
    else:
        lines += [*_points(datamodule), "", *_point_sample(datamodule, rows[0])]
        collate = collate_keypoints
    samples: list[Any] = []
    for row in rows:
        with _step("sample", str(dataset.paths[row])):
            samples.append(dataset[EpochIndex(0, row)])
    with _step("collate", ", ".join(str(dataset.paths[row]) for row in rows)):
        batch = collate(samples)
    lines += ["", f"a batch of {len(samples)}", *_tensors(batch)]
    with _step(f"move to {device}", "the batch"):
        moved = type(batch)(*(tensor.to(device) for tensor in batch))
    return "\n".join([*lines, "", f"on the device ({device})", *_tensors(moved)])


def _readable(dataset: MultiLabelDataset | KeypointDataset) -> Iterator[int]:
    """Yield the rows whose images can be read, where others are to be skipped.

    Raises:
        ImageError: one cannot be read; or there are too many to be skipped.
    """
    for row, path in enumerate(dataset.paths):
        try:
            with _step("decode", str(path)):
                _ = dataset.images[row]
        except ImageError as error:
            if dataset.skipped is None:
                raise
            dataset.skipped.add(row, error)
            continue
        yield row


def _labels(datamodule: MultiLabelDataModule) -> list[str]:
    train, valid = datamodule.train_set.targets, datamodule.valid_set.targets
    width = max(len(name) for name in datamodule.vocab)
    lines = [f"{'label':<{width}}  training  validation"]
    rows = list(zip(datamodule.vocab, (train == 1).sum(0), (valid == 1).sum(0), strict=True))
    lines += [f"{name:<{width}}  {int(a):>8,}  {int(b):>10,}" for name, a, b in rows[:_NAMED]]
    if len(rows) > _NAMED:
        lines.append(f"... and {len(rows) - _NAMED} more")
    none = [int((targets != 1).all(1).sum()) for targets in (train, valid)]
    return [*lines, f"{'no label':<{width}}  {none[0]:>8,}  {none[1]:>10,}"]


def _points(datamodule: KeypointDataModule) -> list[str]:
    points = np.concatenate([datamodule.train_set.points_px, datamodule.valid_set.points_px])
    width = max(len(name) for name in datamodule.point_names)
    lines = [f"{'point':<{width}}  annotated  x in pixels      y in pixels"]
    for number, name in enumerate(datamodule.point_names[:_NAMED]):
        place = points[:, number]
        place = place[~np.isnan(place).any(1)]
        spans = (
            [f"{low:.0f} to {high:.0f}" for low, high in zip(place.min(0), place.max(0), strict=True)]
            if len(place)
            else ["", ""]
        )
        lines.append(f"{name:<{width}}  {len(place):>9,}  {spans[0]:<15}  {spans[1]}")
    if len(datamodule.point_names) > _NAMED:
        lines.append(f"... and {len(datamodule.point_names) - _NAMED} more")
    return lines


def _label_sample(datamodule: MultiLabelDataModule, row: int) -> list[str]:
    dataset = datamodule.train_set
    path, seed = str(dataset.paths[row]), sample_seed(dataset.seed, 0, row)
    image = dataset.images[row].image
    with _step("transform", path):
        augmented = augment_image(dataset.transform, image, seed)
    target = dataset.targets[row]
    names = [name for name, on in zip(datamodule.vocab, target, strict=True) if on == 1]
    return [
        f"one sample: {path}",
        _array("decode", image),
        _array("transform", augmented),
        f"{_array('target', target)}: {', '.join(names) or 'no label'}",
    ]


def _point_sample(datamodule: KeypointDataModule, row: int) -> list[str]:
    dataset = datamodule.train_set
    path, seed = str(dataset.paths[row]), sample_seed(dataset.seed, 0, row)
    image, original = dataset.images[row]
    with _step("transform", path):
        before_px = points_in(dataset.points_px[row], original, image.shape[:2])
        augmented, points_px, visible = augment_points(dataset.transform, image, before_px, seed)
    with _step("scale", path):
        sample = dataset[EpochIndex(0, row)]
    return [
        f"one sample: {path}",
        _array("decode", image),
        _array("points", dataset.points_px[row], "px"),
        _array("transform", augmented),
        _array("points", points_px, "px"),
        f"{_array('scale', sample.points_norm, 'norm')}, {int(visible.sum())} of {len(visible)} visible",
    ]


@contextlib.contextmanager
def _step(name: str, sample: str) -> Iterator[None]:
    try:
        yield
    except LightningTasksError:
        raise
    except Exception as error:  # a transform of the user's may raise anything
        raise ConfigError(f"The step {name!r} failed for {sample}: {type(error).__name__}: {error}") from error


def _tensors(batch: Any) -> list[str]:  # noqa: ANN401 - one of the two batches
    return [_array(name, getattr(batch, name)) for name in batch._fields]


def _array(name: str, values: NDArray[Any] | Tensor, unit: str = "") -> str:
    kind = str(values.dtype).removeprefix("torch.")
    finite = values[~np.isnan(values)] if isinstance(values, np.ndarray) and values.dtype.kind == "f" else values
    span = f"{float(finite.min()):g} to {float(finite.max()):g}" if len(finite) else "empty"
    return f"  {name:<16}  {tuple(values.shape)!s:<18}  {kind:<8}  {span}{' ' + unit if unit else ''}"
