"""A page's images: which ones, how large, and by what they can be filtered."""

import base64
import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Pillow
from torch import Tensor

from lightning_tasks.errors import ImageError

ReadReduced = Callable[[Path, int], NDArray[np.uint8]]  # a file's image (H, W, 3), and its shorter side at most

_SIDE_PX = 320
_QUALITY = 80
_SAMPLE = 24
_WORST = 24
_WORST_OF_EACH = 3
_WORST_OF_ALL_KEYS = 96


@dataclass(frozen=True)
class Card:
    """An image of the page."""

    path: Path
    image: str  # a data URI; empty where the file cannot be shown
    keys: str  # what the filter finds it by, separated by spaces
    group: str  # empty where there are no groups
    details: Any  # what the task's template shows of it


@dataclass(frozen=True)
class Gallery:
    """The images of a page."""

    n_images: int  # of the split
    filters: dict[str, dict[str, str]]  # kind, such as Group → key → name
    sample: list[Card]
    worst: list[Card]


def make_gallery(
    paths: Sequence[Path],
    groups: Sequence[str],
    losses: Tensor,
    read: ReadReduced,
    details: Callable[[int], object],
    filters: Mapping[str, dict[str, str]] | None = None,
    keys_of: Callable[[int], list[str]] = lambda row: [],
) -> Gallery:
    """Return a sample of N images, and the worst of them.

    Args:
        paths: N files.
        groups: N names, by which images can be filtered; or none.
        losses: (N,), by which images are the worst; NaN: it has none.
        read: what reads a file, upright and at most so large; raises ImageError.
        details: returns what the page shows of a row besides its image.
        filters: what else the images can be filtered by: kind → key → name.
        keys_of: returns the keys of a row among those.
    """
    key_of_group = {name: f"group-{g}" for g, name in enumerate(sorted(set(groups)))}
    all_filters = {**(filters or {}), "Group": {key: name for name, key in key_of_group.items()}}

    def keys(row: int) -> list[str]:
        return keys_of(row) + [key_of_group[name] for name in groups[row : row + 1]]

    def card(row: int) -> Card:
        group = groups[row] if groups else ""
        return Card(paths[row], thumbnail(paths[row], read), " ".join(keys(row)), group, details(row))

    worst = worst_rows(losses, keys, sum(map(len, all_filters.values())))
    return Gallery(
        len(paths), all_filters, [card(row) for row in sample_rows(len(paths))], [card(row) for row in worst]
    )


def sample_rows(n: int) -> list[int]:
    """Return up to 24 rows of n, evenly spaced."""
    return torch.linspace(0, n - 1, min(_SAMPLE, n)).round().long().tolist()


def worst_rows(losses: Tensor, keys: Callable[[int], Sequence[str]], n_keys: int) -> list[int]:
    """Return the rows of the highest losses (N,), worst first: 24 over all, and a few of each key. NaN is no loss.

    Args:
        losses: (N,).
        keys: the keys (labels, or the group) of a row.
        n_keys: how many keys there are; the more, the fewer rows of each.
    """
    of_each = min(_WORST_OF_EACH, _WORST_OF_ALL_KEYS // max(n_keys, 1))
    chosen: list[int] = []
    counts: Counter[str] = Counter()
    for row in losses.nan_to_num(-torch.inf).argsort(descending=True, stable=True).tolist():
        if losses[row].isnan():
            break
        if len(chosen) < _WORST or any(counts[key] < of_each for key in keys(row)):
            chosen.append(row)
            counts.update(keys(row))
    return chosen


def thumbnail(path: Path, read: ReadReduced) -> str:
    """Return the image as the data URI of a small JPEG; empty where the file cannot be read."""
    try:
        small = Pillow.fromarray(read(path, _SIDE_PX))
    except ImageError:
        return ""
    small.thumbnail((_SIDE_PX, _SIDE_PX))
    jpeg = io.BytesIO()
    small.save(jpeg, "JPEG", quality=_QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg.getvalue()).decode('ascii')}"
