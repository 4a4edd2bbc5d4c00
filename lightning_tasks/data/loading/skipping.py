"""Going on without the images that cannot be read."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor
from torch.utils.data import Dataset

from lightning_tasks.errors import ConfigError, ImageError

OnBadImage = Literal["error", "skip"]
T = TypeVar("T")

_SMALLEST_BATCH = 2  # batch normalisation needs them
_LISTED = 5


class Skipped:
    """The images of a split that were skipped since the last `clear`, whichever process was to load them."""

    def __init__(self, split: str, paths: Sequence[Path], max_fraction: float) -> None:
        if not 0 <= max_fraction < 1:
            what = "it is a share of the images, from 0 to below 1"
            raise ConfigError(f"data.max_bad_fraction is {max_fraction}; {what}.")
        self.split = split
        self._paths = paths
        self._max_skipped = max_fraction * len(paths)
        self._flags: Tensor = torch.zeros(len(paths), dtype=torch.bool)
        self._flags.share_memory_()  # type: ignore[no-untyped-call]  # the loaders' processes write too

    def __len__(self) -> int:
        return int(self._flags.sum())

    @property
    def of(self) -> int:
        """How many images the split has."""
        return len(self._paths)

    @property
    def paths(self) -> list[Path]:
        """The files, in the split's order."""
        return [self._paths[row] for row in self._flags.nonzero().flatten().tolist()]

    def add(self, row: int, error: ImageError) -> None:
        """Note one; raise ImageError if they are too many."""
        self._flags[row] = True
        if len(self) > self._max_skipped:
            raise ImageError(
                f"{len(self):,} of the {self.of:,} {self.split} images cannot be read, more than data.max_bad_fraction "
                f"allows ({self._max_skipped / self.of:g}). The last one: {error} `lightning-tasks check` lists them "
                "all."
            ) from error

    def report(self) -> str:
        """Return how many there are and which, nothing if there are none, and forget them."""
        if not len(self):
            return ""
        names = ", ".join(map(str, self.paths[:_LISTED]))
        more = f" and {len(self) - _LISTED:,} more" if len(self) > _LISTED else ""
        told = f"skipped {len(self):,} of {self.of:,} {self.split} images: {names}{more}"
        self.clear()
        return told

    def clear(self) -> None:
        """Forget them: an epoch is over."""
        self._flags.zero_()


def readable(rows: Iterable[int], read: Callable[[int], T], skipped: Skipped | None) -> Iterator[tuple[int, T]]:
    """Yield the rows whose images can be read, each with what `read` makes of it.

    Raises:
        ImageError: one cannot be read, and none is to be skipped; or there are too many to be skipped.
    """
    for row in rows:
        try:
            yield row, read(row)
        except ImageError as error:
            if skipped is None:
                raise
            skipped.add(row, error)


@dataclass(eq=False)
class Skipping(Dataset[Any]):
    """A dataset whose samples are None where their image cannot be read, which is noted."""

    dataset: Dataset[Any]
    skipped: Skipped

    def __getitem__(self, key: Any) -> Any:  # noqa: ANN401 - whatever the dataset takes and gives
        try:
            return self.dataset[key]
        except ImageError as error:
            self.skipped.add(key if isinstance(key, int) else key.row, error)
            return None


def skip_unreadable(
    dataset: Dataset[Any], skipped: Skipped | None, collate: Callable[[Any], Any], training: bool
) -> tuple[Dataset[Any], Callable[[Any], Any]]:
    """Return what a loader is to load and how it collates it, where images are to be skipped: not, where it is None."""
    if skipped is None:
        return dataset, collate
    return Skipping(dataset, skipped), partial(collate_readable, collate, training)


def collate_readable(collate: Callable[[Any], Any], training: bool, samples: Sequence[Any]) -> Any:  # noqa: ANN401 - as `collate`
    """Collate the samples that there are, None if none; raise ImageError where too few of a training batch are left."""
    readable = [sample for sample in samples if sample is not None]
    if not training and not readable:
        return None  # how many may be skipped does not depend on the batches: see Skipped
    if training and len(readable) < min(_SMALLEST_BATCH, len(samples)):
        raise ImageError(
            f"Only {len(readable)} of the {len(samples)} images of a batch can be read. `lightning-tasks check` "
            "lists the others; take them out of the table, or raise data.batch_size."
        )
    return collate(readable)
