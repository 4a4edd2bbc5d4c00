"""Which images of a split are shown, how large, and by what a page filters them."""

import base64
import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image as Pillow
from torch import Tensor

from lightning_tasks.errors import ConfigError, ImageError

ReadReduced = Callable[[Path, int], NDArray[np.uint8]]  # a file's image (H, W, 3), and its shorter side at most

THUMBNAIL_PX, _QUALITY = 320, 80
_SAMPLE, _WORST = 24, 24
_WORST_OF_EACH, _WORST_OF_ALL_KEYS = 3, 96


class Results(NamedTuple):
    """A figure, and what it shows of which files."""

    figure: Figure
    paths: tuple[Path, ...]
    losses: tuple[float, ...]


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

    sample = choose_rows(losses, _SAMPLE, worst=False).tolist()
    worst = worst_rows(losses, keys, sum(map(len, all_filters.values())))
    return Gallery(len(paths), all_filters, [card(row) for row in sample], [card(row) for row in worst])


def choose_rows(losses: Tensor, n: int, worst: bool) -> Tensor:
    """Return which of N images to show, at most n: those with the highest losses (N,), or evenly spaced ones.

    NaN, an image without anything to be wrong about, is never among the worst.

    Raises:
        ConfigError: there is nothing else.
    """
    if not worst:
        return torch.linspace(0, len(losses) - 1, min(n, len(losses))).round().long()
    annotated = int((~losses.isnan()).sum())
    if not annotated:
        raise ConfigError("No image of the split is annotated, so none is worst. Leave out --worst.")
    return losses.nan_to_num(-torch.inf).argsort(descending=True, stable=True)[: min(n, annotated)]


def worst_rows(losses: Tensor, keys: Callable[[int], Sequence[str]], n_keys: int) -> list[int]:
    """Return the rows of the highest losses (N,), worst first: 24 over all, and a few of each key. NaN is no loss.

    `keys` returns a row's keys (labels, or the group); the more of them there are, the fewer rows of each.
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
        return as_data_uri(read(path, THUMBNAIL_PX))
    except ImageError:
        return ""


def as_data_uri(image: NDArray[np.uint8]) -> str:
    """Return an image (H, W, 3) as the data URI of a small JPEG, its longer side THUMBNAIL_PX at most."""
    small = Pillow.fromarray(image)
    small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    jpeg = io.BytesIO()
    small.save(jpeg, "JPEG", quality=_QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg.getvalue()).decode('ascii')}"
