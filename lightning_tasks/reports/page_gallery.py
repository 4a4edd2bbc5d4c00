"""The report's images: which ones, how large, and what stands under them."""

import base64
import io
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

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
_FEW_POINTS = 10


@dataclass(frozen=True)
class LabelTag:
    """A label of an image: there and found (right), there and not found (missed), or found and not there (extra)."""

    kind: str
    name: str
    probability: float


@dataclass(frozen=True)
class LabelCard:
    """An image and its labels."""

    path: Path
    image: str  # a data URI; empty where the file cannot be shown
    keys: str  # what the filter finds it by, separated by spaces
    loss: float
    tags: list[LabelTag]
    group: str


@dataclass(frozen=True)
class PointCard:
    """An image and its points, drawn in the pixels of the original."""

    path: Path
    image: str
    keys: str
    width_px: int
    height_px: int
    annotated: str  # SVG paths
    predicted: str
    errors: str
    error_px: float  # the mean over annotated points; NaN where there are none
    furthest: str  # the name of the point that is furthest off; empty with a single one
    furthest_px: float
    group: str


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
    seen: Counter[str] = Counter()
    for row in losses.nan_to_num(-torch.inf).argsort(descending=True, stable=True).tolist():
        if losses[row].isnan():
            break
        if len(chosen) < _WORST or any(seen[key] < of_each for key in keys(row)):
            chosen.append(row)
            seen.update(keys(row))
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


def label_tags(probabilities: Tensor, targets: Tensor, vocab: Sequence[str], predicted: Tensor) -> list[LabelTag]:
    """Return the labels that one image has or is said to have, the most probable first.

    Args:
        probabilities: (C,).
        targets: (C,) of 1, 0 and −1; of the last nothing is said.
        vocab: C labels.
        predicted: (C,) bool.
    """
    kinds = {(True, True): "right", (True, False): "missed", (False, True): "extra"}
    columns = (vocab, probabilities.tolist(), targets.tolist(), predicted.tolist())
    tags = [
        LabelTag(kinds[target == 1, found], name, probability)
        for name, probability, target, found in zip(*columns, strict=True)
        if target >= 0 and (target == 1, found) in kinds
    ]
    return sorted(tags, key=lambda tag: -tag.probability)


def point_paths(points_px: Tensor, targets_px: Tensor, side_px: float) -> tuple[str, str, str]:
    """Return SVG paths of circles at the annotated places, diamonds at the predicted ones, and lines between.

    Args:
        points_px: (P, 2).
        targets_px: (P, 2), NaN where not annotated.
        side_px: the image's longer side; marks are drawn to its scale.
    """
    r = side_px / (40 if len(points_px) < _FEW_POINTS else 100)
    circles, diamonds, lines = [], [], []
    for (x, y), (true_x, true_y) in zip(points_px.tolist(), targets_px.tolist(), strict=True):
        diamonds.append(f"M{x:.1f} {y - r:.1f}l{r:.1f} {r:.1f} {-r:.1f} {r:.1f} {-r:.1f} {-r:.1f}z")
        if true_x == true_x:
            circle = f"M{true_x - r:.1f} {true_y:.1f}a{r:.1f} {r:.1f} 0 1 0 {2 * r:.1f} 0"
            circles.append(f"{circle}a{r:.1f} {r:.1f} 0 1 0 {-2 * r:.1f} 0z")
            lines.append(f"M{true_x:.1f} {true_y:.1f}L{x:.1f} {y:.1f}")
    return "".join(circles), "".join(diamonds), "".join(lines)
