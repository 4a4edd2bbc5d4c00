"""Images of rare classes shown more often: repeat factor sampling.

Source: Gupta, Dollár, Girshick, "LVIS: A Dataset for Large Vocabulary Instance Segmentation", CVPR 2019, section 4: a
class that a share f of the images have is repeated max(1, √(t / f)) times, an image as often as its rarest class. Two
things differ. An epoch has as many images as without, so that schedules and restarts know its length. And the numbers
are rounded by systematic sampling, and not each by a lot of its own: they add up exactly.
"""

import math
import warnings

import numpy as np
from numpy.typing import NDArray

from lightning_tasks.data.tables.splits import Rows
from lightning_tasks.data.tables.stratify import Strata
from lightning_tasks.errors import ConfigError, LightningTasksWarning

RepeatFactors = NDArray[np.float64]


def check_threshold(threshold: float) -> float:
    """Return the share of the images below which a class is rare, 0: none is; ConfigError: it is no share."""
    if not 0 <= threshold <= 1:  # nor NaN
        raise ConfigError(f"data.oversample_threshold is {threshold}; it is a share of the images, from 0 to 1.")
    return threshold


def warned_factors(strata: Strata | None, rows: Rows, threshold: float) -> RepeatFactors:
    """Return what `repeat_factors` does; warn where no class is rare.

    Raises:
        ConfigError: there are no classes that some rows have and others have not.
    """
    option = f"data.oversample_threshold {threshold:g}"
    if strata is None or not len(strata):
        raise ConfigError(
            f"{option}: nothing here is in some images alone, which could be shown more often. Leave it out."
        )
    factors = repeat_factors(strata, rows, threshold)
    if (factors == 1).all():
        shares = _shares(strata, rows)
        rarest = f"the rarest is in {shares[shares > 0].min(initial=1):.3g} of the training images"
        message = f"{option}: {rarest}, so no image is shown more often than another."
        warnings.warn(message, LightningTasksWarning, stacklevel=2)
    return factors


def repeat_factors(strata: Strata, rows: Rows, threshold: float) -> RepeatFactors:
    """Return how much more often than an image without a rare class each row is shown (R,): 1 and more.

    Args:
        strata: (K, 2), a row of the table and a class that it has.
        rows: (R,) those for training, of which alone the shares are.
        threshold: classes that a smaller share of them have are rare.
    """
    shares = _shares(strata, rows)
    of_class = np.sqrt(np.maximum(1, threshold / np.maximum(shares, 1 / len(rows))))
    of_row = np.ones(max(int(strata[:, 0].max()), int(rows.max())) + 1)
    np.maximum.at(of_row, strata[:, 0], of_class[strata[:, 1]])
    factors: RepeatFactors = of_row[rows]
    return factors


def draw_rows(factors: RepeatFactors, generator: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return N rows in random order for N factors, each as often as its factor's share of all says, rounded up or down.

    The second array has the number of each row's appearance: 0, and 1 and more where it is there again.
    """
    n = len(factors)
    around = generator.permutation(n)
    ends = np.cumsum(factors[around]) * (n / math.fsum(factors))
    ends[-1] = n  # whatever was lost in the sum
    marks = np.floor(np.minimum(ends, n) + generator.random()).astype(np.int64)
    counts = np.diff(marks, prepend=0)
    rows = np.repeat(around, counts)
    again = np.arange(n) - np.repeat(marks - counts, counts)
    order = generator.permutation(n)
    return rows[order], again[order]


def _shares(strata: Strata, rows: Rows) -> NDArray[np.float64]:
    of_training = np.isin(strata[:, 0], rows)
    n_classes = int(strata[:, 1].max()) + 1
    shares: NDArray[np.float64] = np.bincount(strata[of_training, 1], minlength=n_classes) / len(rows)
    return shares
