"""Annotations that are probably wrong, in the terms that tables, pages and annotation tools share."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

Kind = Literal["missing", "extra", "other", "moved", "swapped", "value"]
# Spreads that a residual is off, from which on it is suspicious. Source: Iglewicz, Hoaglin, "How to Detect and Handle
# Outliers", 1993.
SUSPICIOUS = 3.5
_NORMAL = 1.4826  # standard deviations of a normal distribution in one median absolute deviation


class Place(NamedTuple):
    """Where something is in an image on disk; the centre of the top-left pixel is (0, 0)."""

    x_px: float
    y_px: float


class Suspect(NamedTuple):
    """One cell of the annotations, of an image and one of its labels, points or numbers, that is probably wrong.

    `kind` says how: a label that is `missing` or `extra`, or in place of which an `other` is likely, where images have
    exactly one; a point that was `moved`, or `swapped` with that of the other side; a number (`value`).
    """

    row: int  # of the predictions' N images
    what: str  # the label, point or number
    kind: Kind
    score: float  # the higher, the more suspicious; comparable within a task
    given: str  # what is annotated, as in a table's cell
    predicted: str  # and what the model says
    reason: str  # in words
    given_place: Place | None = None  # of a point
    suggested_place: Place | None = None


def most_suspicious(suspects: Iterable[Suspect]) -> list[Suspect]:
    """Return suspects, the most suspicious first; equal ones in the order that they came in."""
    return sorted(suspects, key=lambda suspect: -suspect.score)


def robust_deviations(values: Tensor) -> Tensor:
    """Return how many robust standard deviations values (N, T) are off their medians (T,); NaN of NaN.

    That is of the median absolute deviation, which a few wrong values among many do not change. Where more than half of
    the values are equal, as a perfect model's residuals, all others are infinitely far off.
    """
    off = (values - values.nanmedian(0).values).abs()
    return torch.where(off == 0, off, off / (_NORMAL * off.nanmedian(0).values))
