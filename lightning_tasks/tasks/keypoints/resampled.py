"""The scores of points in resamples of a split: what `scores` says of copies of its rows, all resamples at a time.

`counts` are (N, R): how often each of N images stands in each of R resamples; see `reports.bootstrap`.
"""

import torch
from torch import Tensor

_SORTED_AT_ONCE = 4_000_000  # of errors by resamples: 16 MB


def resampled_points(counts: Tensor, distances_px: Tensor, squared_norm: Tensor) -> dict[str, Tensor]:
    """Return the scores of resamples (R,), and of each point `median_px_of_each` (P, R); NaN without a visible point.

    Args:
        counts: (N, R).
        distances_px: (N, P), in pixels of the original images, NaN where not visible.
        squared_norm: (N, P), squared distances on the −1..1 scale.
    """
    visible = ~distances_px.isnan()

    def mean(of: Tensor) -> Tensor:
        by_image = (torch.where(visible, of.double(), 0.0).sum(1), visible.double().sum(1))
        total, n = (column @ counts.double() for column in by_image)
        return total / n

    quantiles = torch.tensor([0.5, 0.95], dtype=torch.float64)
    median_px, p95_px = resampled_quantiles(counts, distances_px, quantiles)
    each = [resampled_quantiles(counts, column[:, None], quantiles[:1])[0] for column in distances_px.T]
    return {
        "loss": mean(squared_norm) / 2,  # over coordinates
        "median_px": median_px,
        "mean_px": mean(distances_px),
        "p95_px": p95_px,
        "pck_5px": mean(distances_px <= 5),
        "pck_10px": mean(distances_px <= 10),
        "median_px_of_each": torch.stack(each),
    }


def resampled_quantiles(counts: Tensor, values: Tensor, quantiles: Tensor) -> Tensor:
    """Return quantiles (q,) of values (N, P) in each resample, (q, R) float64, as `torch.quantile` interpolates them.

    NaN does not count; NaN is returned where there is nothing else.
    """
    known = ~values.isnan()
    ordered, order = values[known].double().sort()
    images = known.nonzero()[order, 0]
    if not len(ordered):
        return counts.new_full((len(quantiles), counts.shape[1]), torch.nan, dtype=torch.float64)
    width = max(1, _SORTED_AT_ONCE // len(ordered))
    return torch.cat([_quantiles(ordered, part[images], quantiles) for part in torch.split(counts, width, 1)], 1)


def _quantiles(ordered: Tensor, weights: Tensor, quantiles: Tensor) -> Tensor:
    """Return quantiles (q, R) of values (n,) in order, each as often as its weights (n, R) say."""
    upto = weights.double().cumsum(0).T.contiguous()  # (R, n)
    total = upto[:, -1:]
    place = quantiles * (total - 1).clamp(min=0)  # (R, q), among the copies
    last = len(ordered) - 1
    low, high = (
        ordered[torch.searchsorted(upto, at, right=True).clamp(max=last)] for at in (place.floor(), place.ceil())
    )
    return torch.where(total > 0, low.lerp(high, place - place.floor()), torch.nan).T
