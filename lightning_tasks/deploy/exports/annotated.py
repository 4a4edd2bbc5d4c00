"""Annotated pictures, and the score that an export is measured by on them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

import lightning_tasks.data as data_modules
from lightning_tasks.checkpoint import read_checkpoint
from lightning_tasks.data import KeypointDataModule, MultiLabelDataModule
from lightning_tasks.errors import DatasetNotFoundError
from lightning_tasks.evaluation.labels import average_precision


class Annotated(NamedTuple):
    """The validation pictures of a checkpoint, and training pictures without their annotations."""

    paths: Sequence[Path]  # N files
    targets: NDArray[np.float32]  # (N, C) of 1, 0 and −1; or (N, P, 2) pixels, NaN where not annotated
    training: Sequence[Path]
    labels: bool


def annotated_pictures(checkpoint: Path, root: str | None) -> Annotated:
    """Return the pictures of the data that a checkpoint was trained on.

    Args:
        checkpoint: says which data these are.
        root: the folder that they lie in now; None: where they lay.

    Raises:
        DatasetNotFoundError: they are not there, or the checkpoint does not say where they were.
        LightningTasksError: their table cannot be used.
    """
    content = read_checkpoint(checkpoint)
    given: dict[str, Any] = dict(content.get("datamodule_hyper_parameters", {}))
    name = str(given.get("_class_path", "")).rpartition(".")[2]
    cls = getattr(data_modules, name, None)
    if name not in data_modules.__all__ or cls is None:  # of a checkpoint, only classes of ours are made
        raise DatasetNotFoundError(f"{checkpoint} does not say which data it was trained on. Name some: --pictures.")
    arguments = {key: value for key, value in given.items() if not key.startswith("_")}
    if root is not None:
        arguments["root"] = root
    names = {"vocab": "vocab", "point_names": "point_names"}
    arguments |= {key: list(content["hyper_parameters"][key]) for key in names if key in arguments}
    arguments |= {"cache": "none", "num_workers": 0}
    try:
        datamodule: MultiLabelDataModule | KeypointDataModule = cls(**arguments)
    except TypeError as error:
        raise DatasetNotFoundError(
            f"{checkpoint} is of another version ({error}). Name pictures: --pictures."
        ) from error
    datamodule.setup("fit")
    labels = isinstance(datamodule, MultiLabelDataModule)
    targets = datamodule.valid_set.targets if labels else datamodule.valid_set.points_px  # type: ignore[union-attr]
    return Annotated(datamodule.valid_set.paths, np.asarray(targets), datamodule.train_set.paths, labels)


def score(found: Annotated, outputs: NDArray[np.float32]) -> float:
    """Return the mAP of (N, C) probabilities, or the median error of (N, P, 2) points in pixels."""
    if not found.labels:
        return float(np.nanmedian(np.linalg.norm(outputs - found.targets, axis=-1)))
    targets = torch.from_numpy(found.targets)
    each = average_precision(torch.from_numpy(outputs), targets)
    return float(each[(targets == 1).any(0)].mean())


def score_name(found: Annotated) -> str:
    """Return what `score` is."""
    return "mAP" if found.labels else "median error in px"
