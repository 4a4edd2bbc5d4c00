"""The images that a checkpoint was trained on, which an export is measured on."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import lightning_tasks.tasks as public
from lightning_tasks.checkpoint import read_checkpoint
from lightning_tasks.data.datamodule import ImageDataModule
from lightning_tasks.data.images.decode import Image, read_image
from lightning_tasks.data.loading.dataset import ImageDataset
from lightning_tasks.data.loading.skipping import Skipped
from lightning_tasks.errors import DatasetNotFoundError, ImageError
from lightning_tasks.tasks.registry import task_of


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

    def take(self, n: int) -> list[Image]:
        """Return n images from all over the list, or as many as there are; errors as `read`."""
        spread = np.unique(np.linspace(0, len(self.paths) - 1, num=min(n, len(self.paths))).astype(int))
        others = np.setdiff1d(np.arange(len(self.paths)), spread)  # in place of those that cannot be read
        return [image for _, image in islice(self.read([*spread.tolist(), *others.tolist()]), n)]

    def print_skipped(self) -> None:
        """Print which were skipped, if any."""
        if self.skipped is not None and (line := self.skipped.report()):
            print(line)


class Annotated(NamedTuple):
    """The validation images of a checkpoint, what is true of them, and training images without their annotations."""

    valid: Files
    dataset: ImageDataset[Any]  # of the same images
    training: Files


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
    cls: Any = getattr(public, name) if name in public.__all__ else None  # of a checkpoint, only classes of ours
    if cls is None or not issubclass(cls, ImageDataModule):
        raise DatasetNotFoundError(f"{checkpoint} does not say which data it was trained on. Name some: --images.")
    arguments = {key: value for key, value in given.items() if not key.startswith("_")}
    if root is not None:
        arguments["root"] = root
    names_key = task_of(content["hyper_parameters"]).names_key
    if names_key in arguments:
        arguments[names_key] = list(content["hyper_parameters"][names_key])
    arguments |= {"cache": "none", "num_workers": 0}
    try:
        datamodule: ImageDataModule = cls(**arguments)
    except TypeError as error:
        raise DatasetNotFoundError(f"{checkpoint} is of another version ({error}). Name images: --images.") from error
    datamodule.setup("fit")
    sets = (datamodule.valid_set, datamodule.train_set)
    valid, training = (Files(dataset.paths, dataset.skipped, datamodule.white_level) for dataset in sets)
    return Annotated(valid, datamodule.valid_set, training)
