"""What the training split says of each target: to standardise it, and to score the best constants."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Statistics(NamedTuple):
    """Of T targets, over the known numbers of a split; in their own units."""

    mean: NDArray[np.float64]  # (T,)
    std: NDArray[np.float64]  # (T,), 1 where all numbers are the same
    median: NDArray[np.float64]  # (T,)


def statistics_of(values: NDArray[np.float64]) -> Statistics:
    """Return the statistics of (N, T) numbers, NaN where unknown; each column has a known one."""
    std = np.nanstd(values, axis=0)
    return Statistics(np.nanmean(values, axis=0), np.where(std > 0, std, 1.0), np.nanmedian(values, axis=0))
