"""The scores of numbers in resamples of a split: what `scores` says of copies of its rows, all resamples at a time.

`counts` are (N, R): how often each of N images stands in each of R resamples; see `reports.bootstrap`.
"""

import torch
from torch import Tensor

_NO_VARIANCE = 1e-10  # of the squares: what is left of numbers that are all the same


def resampled_target(counts: Tensor, predicted: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """Return `mae`, `rmse`, `r2` and `spearman` of one target in each resample, (R,) float64; NaN without a meaning.

    Args:
        counts: (N, R).
        predicted: (N,).
        targets: (N,), NaN where unknown.
    """
    known = ~targets.isnan()
    counts, predicted, targets = (values[known].double() for values in (counts, predicted, targets))
    n = counts.sum(0)
    errors, centred = predicted - targets, targets - targets.mean()
    squared = errors.square() @ counts
    squares = centred.square() @ counts
    variation = squares - (centred @ counts).square() / n
    varies = variation > _NO_VARIANCE * squares
    return {
        "mae": errors.abs() @ counts / n,
        "rmse": (squared / n).sqrt(),
        "r2": torch.where(varies, 1 - squared / variation, torch.nan),
        "spearman": _correlation(_ranks(counts, predicted), _ranks(counts, targets), counts),
    }


def _ranks(counts: Tensor, values: Tensor) -> Tensor:
    """Return the ranks (n, R) of values (n,) among their copies, the mean of them where they are equal, less 1 / 2."""
    distinct, place = torch.unique(values, return_inverse=True)
    copies = counts.new_zeros(len(distinct), counts.shape[1]).index_add_(0, place, counts)
    return (copies.cumsum(0) - copies / 2)[place]


def _correlation(a: Tensor, b: Tensor, counts: Tensor) -> Tensor:
    """Return Pearson's correlation (R,) of (n, R) and (n, R); NaN where one of them is constant."""
    a, b = (ranks - (ranks * counts).sum(0) / counts.sum(0) for ranks in (a, b))
    covariance, *variances = ((one * other * counts).sum(0) for one, other in ((a, b), (a, a), (b, b)))
    return covariance / (variances[0] * variances[1]).sqrt()
