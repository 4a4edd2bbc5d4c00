"""Annotated images, and the score that an export is measured by on them."""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

import lightning_tasks.tasks as data_modules
from lightning_tasks.checkpoint import read_checkpoint
from lightning_tasks.data.images.decode import Image, read_image
from lightning_tasks.data.loading.skipping import Skipped
from lightning_tasks.errors import DatasetNotFoundError, ImageError
from lightning_tasks.tasks import KeypointDataModule, MultiLabelDataModule
from lightning_tasks.tasks.multilabel.scores import average_precision


class Files(NamedTuple):
    """Images to be read, and where those are noted that cannot be; None: that is an error."""

    paths: Sequence[Path]
    skipped: Skipped | None
    white_level: int | None  # of those of more than 8 bits

    def read(self, rows: Iterable[int]) -> Iterator[tuple[int, Image]]:
        """Yield those of the images that can be read, each with its row.

        Raises:
            ImageError: one cannot be read; or of those that are to be skipped there are too many, or nothing is left.
        """
        left = 0
        for row in rows:
            try:
                image = read_image(self.paths[row], white_level=self.white_level)
            except ImageError as error:
                if self.skipped is None:
                    raise
                self.skipped.add(row, error)
                continue
            left += 1
            yield row, image
        if not left:
            raise ImageError("None of the images can be read. `lightning-tasks check` lists them; or name others.")

    def some(self, n: int) -> list[Image]:
        """Return n images from all over the list, or as many as there are; errors as `read`."""
        spread = np.unique(np.linspace(0, len(self.paths) - 1, num=min(n, len(self.paths))).astype(int))
        others = np.setdiff1d(np.arange(len(self.paths)), spread)  # in place of those that cannot be read
        return [image for _, image in islice(self.read([*spread.tolist(), *others.tolist()]), n)]

    def tell_skipped(self) -> None:
        """Print which were skipped, if any."""
        if self.skipped is not None and (line := self.skipped.report()):
            print(line)


class Annotated(NamedTuple):
    """The validation images of a checkpoint, and training images without their annotations."""

    valid: Files  # N files
    targets: NDArray[np.float32]  # (N, C) of 1, 0 and −1; or (N, P, 2) pixels, NaN where not annotated
    training: Files
    labels: bool


def annotated_images(checkpoint: Path, root: str | None) -> Annotated:
    """Return the images of the data that a checkpoint was trained on.

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
        raise DatasetNotFoundError(f"{checkpoint} does not say which data it was trained on. Name some: --images.")
    arguments = {key: value for key, value in given.items() if not key.startswith("_")}
    if root is not None:
        arguments["root"] = root
    names = {"vocab": "vocab", "point_names": "point_names"}
    arguments |= {key: list(content["hyper_parameters"][key]) for key in names if key in arguments}
    arguments |= {"cache": "none", "num_workers": 0}
    try:
        datamodule: MultiLabelDataModule | KeypointDataModule = cls(**arguments)
    except TypeError as error:
        raise DatasetNotFoundError(f"{checkpoint} is of another version ({error}). Name images: --images.") from error
    datamodule.setup("fit")
    labels = isinstance(datamodule, MultiLabelDataModule)
    targets = datamodule.valid_set.targets if labels else datamodule.valid_set.points_px
    white_level = datamodule.white_level
    valid, training = (
        Files(one.paths, one.skipped, white_level) for one in (datamodule.valid_set, datamodule.train_set)
    )
    return Annotated(valid, np.asarray(targets), training, labels)


def score(found: Annotated, rows: Sequence[int], outputs: NDArray[np.float32]) -> float:
    """Return the mAP of probabilities (n, C), or the median error of points (n, P, 2) in pixels; NaN without any.

    Args:
        found: says what is true.
        rows: n of the N validation images.
        outputs: what is said of them.
    """
    if not found.labels:
        errors_px = np.linalg.norm(outputs - found.targets[rows], axis=-1)
        return math.nan if np.isnan(errors_px).all() else float(np.nanmedian(errors_px))
    targets = torch.from_numpy(found.targets[rows])
    each = average_precision(torch.from_numpy(outputs), targets)
    return float(each[(targets == 1).any(0)].mean())


def score_name(found: Annotated) -> str:
    """Return what `score` is."""
    return "mAP" if found.labels else "median error in px"
