"""The scores of labels in resamples of a split: what `scores` says of copies of its rows, all resamples at a time.

`counts` are (N, R): how often each of N images stands in each of R resamples; see `reports.bootstrap`.
"""

from typing import NamedTuple, Self

import torch
from torch import Tensor

from lightning_tasks.tasks.multilabel.scores import IGNORED, precision_recall_f1


def resampled_precision(counts: Tensor, probabilities: Tensor, targets: Tensor) -> Tensor:
    """Return each label's average precision, (C, R) float64, as `average_precision` defines it; NaN without a positive.

    Args:
        counts: (N, R).
        probabilities: (N, C).
        targets: (N, C) of 1, 0 and −1.
    """
    return torch.stack([_of_label(counts, probabilities[:, c], targets[:, c]) for c in range(targets.shape[1])])


def _of_label(counts: Tensor, probabilities: Tensor, targets: Tensor) -> Tensor:
    """Return that of one label (R,); the curve is made of its points that find a positive: others do not count."""
    known = (targets != IGNORED).nonzero().flatten()
    rows = known[probabilities[known].argsort(descending=True, stable=True)]
    ordered, places = probabilities[rows], (targets[rows] == 1).nonzero().flatten()  # of the positives
    if not len(places):
        return counts.new_full((counts.shape[1],), torch.nan, dtype=torch.float64)
    thresholds, point = torch.unique_consecutive(ordered[places], return_inverse=True)  # equal probabilities: one point
    last = len(ordered) - 1 - torch.searchsorted(ordered.flip(0), thresholds)  # of the images that it predicts
    predicted = counts[rows].cumsum(0)[last].double()
    gained = torch.zeros_like(predicted).index_add_(0, point, counts[rows[places]].double())
    hits = gained.cumsum(0)
    return (gained * hits / predicted.clamp(min=1)).sum(0) / hits[-1]


def resampled_counts(counts: Tensor, cells: Tensor) -> Tensor:
    """Return how many of the cells (N, C) bool are true in each resample, (C, R) float64."""
    return (cells.float().T @ counts).double()


class ResampledCounts(NamedTuple):
    """Of each of C labels in each of R resamples, over the cells that count, (C, R) float64."""

    true_positives: Tensor
    predicted: Tensor
    positives: Tensor
    cells: Tensor

    @classmethod
    def of(cls, counts: Tensor, predicted: Tensor, targets: Tensor) -> Self:
        """Return them for (N, C) bool that are predicted, and targets (N, C) of 1, 0 and −1."""
        known, truth = targets != IGNORED, targets == 1
        return cls(*(resampled_counts(counts, cells) for cells in (predicted & truth, predicted & known, truth, known)))

    def scores(self) -> dict[str, Tensor]:
        """Return the scores (R,) of all cells together, and the mean of F1 over the labels with a positive."""
        hits, predicted, positives, cells = (column.sum(0) for column in self)
        f1_macro = precision_recall_f1(self.true_positives, self.predicted, self.positives)[2].nanmean(0)
        micro = precision_recall_f1(hits, predicted, positives)
        names = ("precision_micro", "recall_micro", "f1_micro")
        return {
            "accuracy": 1 - (predicted + positives - 2 * hits) / cells,
            "f1_macro": f1_macro,
            **dict(zip(names, micro, strict=True)),
        }
