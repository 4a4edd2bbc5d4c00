"""Which value is white in a data set's images of 16 bits: found once, over all of them, for every door."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from lightning_tasks.data.images.decode import brightest_of
from lightning_tasks.data.images.depth import FEW, FULL, likely_white
from lightning_tasks.errors import ConfigError, LightningTasksWarning

DARK = 2**12  # a split with no value from here on is odd where others have brighter images
_HEADERS = 1000  # that are looked at of each list of files
_READ = 200  # images whose pixels are read, at most: where all 16 bits are used, the first few show it


def find_white_level(splits: Mapping[str, Sequence[Path]], where: str) -> int | None:
    """Return which value is white in images of 16 bits; None: there are none, or all of them are black.

    One dark image says nothing. Where all are so dark that they cannot use all of their bits, they do not. Files may be
    missing or damaged: others tell of those.

    Raises:
        ConfigError: the images use few of their bits; names the value that is likely white.
    """
    found = {split: brightest_of_some([paths]) for split, paths in splits.items()}
    largest = max((value for value, _ in found.values()), default=0)
    if 0 < largest < FEW:
        raise ConfigError(f"{where}: {few_bits(largest, sum(read for _, read in found.values()))}")
    for split, (value, read) in found.items():
        _doubt(value, read, split, where)
    return FULL if largest else None


def doubt(paths: Sequence[Path], split: str, where: str) -> None:
    """Warn where a split's images of 16 bits use few of them, though white is 65,535 in others."""
    _doubt(*brightest_of_some([paths]), split, where)


def _doubt(largest: int, read: int, split: str, where: str) -> None:
    if 0 < largest < DARK:
        warnings.warn(f"{where}: {dark_split(split, largest, read)}", LightningTasksWarning, stacklevel=2)


def dark_split(split: str, largest: int, read: int) -> str:
    """Return what is odd about a split whose images have no value above `largest`, and what to do."""
    return (
        f"of the {read:,} images of 16 bits that were read of the {split} split, none has a value above {largest:,}, "
        f"and white is 65,535: they are read as dark. If their white is {likely_white(largest):,}, scale them to "
        "0..65535."
    )


def brightest_of_some(lists: Sequence[Sequence[Path]]) -> tuple[int, int]:
    """Return the largest value of images of 16 bits, and how many were read until one used the upper two of them."""
    largest = read = 0
    found = (value for path in _spread(lists) if (value := brightest_of(path)) is not None)
    for value in islice(found, _READ):
        largest, read = max(largest, value), read + 1
        if largest >= FEW:
            break
    return largest, read


def few_bits(largest: int, read: int) -> str:
    """Return what is wrong with images of which none has a value above `largest`, and what to do."""
    return (
        f"images have 16 bits and use few of them: of the {read:,} that were read, none has a value above {largest:,} "
        f"of 65,535. Say which value is white: --data.white_level {likely_white(largest)}, it seems; or 65535 if they "
        "are so dark."
    )


def _spread(lists: Sequence[Sequence[Path]]) -> Iterator[Path]:
    for paths in lists:
        for row in np.unique(np.linspace(0, len(paths) - 1, min(len(paths), _HEADERS)).round().astype(int)):
            yield paths[int(row)]
