"""What the training split says of each target: to standardise it, and to score the best constants; and its classes."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightning_tasks.data.tables.stratify import Strata

_BINS, _FEWEST = 10, 20  # of a target's classes, and numbers in each


class Statistics(NamedTuple):
    """Of T targets, over the known numbers of a split; in their own units."""

    mean: NDArray[np.float64]  # (T,)
    std: NDArray[np.float64]  # (T,), 1 where all numbers are the same
    median: NDArray[np.float64]  # (T,)


def statistics_of(values: NDArray[np.float64]) -> Statistics:
    """Return the statistics of (N, T) numbers, NaN where unknown; each column has a known one."""
    std = np.nanstd(values, axis=0)
    return Statistics(np.nanmean(values, axis=0), np.where(std > 0, std, 1.0), np.nanmedian(values, axis=0))


def value_strata(values: NDArray[np.float64]) -> Strata | None:
    """Return which class each of (N, T) numbers is of: equally many from the smallest to the largest; None: all alike.

    A target has ten classes at most, of some twenty numbers at least; an unknown number has none.
    """
    pairs = [np.empty((0, 2), dtype=np.int64)]
    for target, column in enumerate(values.T):
        rows = np.flatnonzero(~np.isnan(column))
        n = min(max(len(rows) // _FEWEST, 1), _BINS)
        bounds = np.unique(np.quantile(column[rows], np.arange(1, n) / n)) if n > 1 else np.empty(0)
        bounds = bounds[bounds > np.nanmin(column)] if len(bounds) else bounds  # below the smallest is nothing
        if len(bounds) or len(rows) < len(column):
            bins = np.searchsorted(bounds, column[rows], side="right")
            pairs.append(np.column_stack([rows, target * _BINS + bins]))
    found = np.concatenate(pairs)
    return found if len(found) else None
