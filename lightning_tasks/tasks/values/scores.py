"""How far predicted numbers are from the true ones, beside what the best constant scores."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional import mean_absolute_error, mean_squared_error, r2_score

_FEWEST = 2  # numbers that have a correlation


@dataclass(frozen=True)
class ValueScores:
    """The scores of one target in its own unit; NaN where there are none.

    Attributes:
        n: how many numbers are known.
        mae: mean absolute error.
        mae_baseline: that of predicting the training split's median for every image, the best constant.
        rmse: root of the mean squared error.
        rmse_baseline: that of predicting the training split's mean for every image, the best constant.
        r2: share of the variance that is explained: 1 for perfect, 0 for the mean of these numbers, below 0 for worse.
        spearman: correlation of the ranks.
    """

    n: int
    mae: float
    mae_baseline: float
    rmse: float
    rmse_baseline: float
    r2: float
    spearman: float


def value_scores(
    predicted: Tensor, targets: Tensor, names: Sequence[str], means: Tensor, medians: Tensor
) -> dict[str, ValueScores]:
    """Return the scores of each target by its name.

    Args:
        predicted: (N, T) in the targets' units.
        targets: (N, T), NaN where unknown.
        names: of the T targets.
        means: (T,) of the training split; or (N, T), each image's own.
        medians: likewise.

    Raises:
        ValueError: the shapes differ.
    """
    if predicted.shape != targets.shape or targets.shape[1] != len(names):
        raise ValueError(f"predictions {tuple(predicted.shape)}, targets {tuple(targets.shape)}, {len(names)} names")
    # On the CPU, as some devices have no float64.
    each = (predicted, targets, means.expand_as(targets), medians.expand_as(targets))
    columns = zip(*(values.cpu().double().T for values in each), strict=True)
    return {name: _scores_of_target(*column) for name, column in zip(names, columns, strict=True)}


def scores_by_group(
    groups: Sequence[str], predicted: Tensor, targets: Tensor, names: Sequence[str], means: Tensor, medians: Tensor
) -> dict[str, dict[str, ValueScores]]:
    """Return the scores of each group of images, in the order of their first image; see `value_scores`."""
    scores = {}
    for group in dict.fromkeys(groups):
        rows = torch.tensor([other == group for other in groups])
        constants = (values.expand_as(targets)[rows] for values in (means, medians))
        scores[group] = value_scores(predicted[rows], targets[rows], names, *constants)
    return scores


def _scores_of_target(predicted: Tensor, targets: Tensor, mean: Tensor, median: Tensor) -> ValueScores:
    known = ~targets.isnan()
    predicted, targets, mean, median = (values[known].contiguous() for values in (predicted, targets, mean, median))
    n = len(targets)
    if not n:
        return ValueScores(0, *[math.nan] * 6)
    varies = n >= _FEWEST and bool((targets != targets[0]).any())
    ranked = varies and bool((predicted != predicted[0]).any())
    return ValueScores(
        n=n,
        mae=float(mean_absolute_error(predicted, targets)),
        mae_baseline=float(mean_absolute_error(median, targets)),
        rmse=float(mean_squared_error(predicted, targets, squared=False)),
        rmse_baseline=float(mean_squared_error(mean, targets, squared=False)),
        r2=float(r2_score(predicted, targets)) if varies else math.nan,
        spearman=_rank_correlation(predicted, targets) if ranked else math.nan,
    )


def _rank_correlation(predicted: Tensor, targets: Tensor) -> float:
    # torchmetrics 1.9 adds 1e-6 to its denominator: few numbers that agree have 0.999998.
    return float(pd.Series(predicted.numpy()).rank().corr(pd.Series(targets.numpy()).rank()))


class GatheredValues(Metric):
    """Predicted and true numbers, gathered over batches and processes.

    Args:
        targets: how many numbers an image has.
    """

    full_state_update = False
    predicted: list[Tensor]
    targets: list[Tensor]

    def __init__(self, targets: int) -> None:
        super().__init__()
        self.width = targets
        self.add_state("predicted", default=[], dist_reduce_fx="cat")
        self.add_state("targets", default=[], dist_reduce_fx="cat")

    def update(self, predicted: Tensor, targets: Tensor) -> None:
        """Add a batch: (B, T) predicted, and (B, T) true, NaN where unknown."""
        self.predicted.append(predicted.detach())
        self.targets.append(targets)

    def compute(self) -> tuple[Tensor, Tensor]:
        """Return all that came: (N, T) predicted and (N, T) true."""
        return self._join(self.predicted), self._join(self.targets)

    def _join(self, state: list[Tensor] | Tensor) -> Tensor:
        # One process has a list of tensors; after a synchronisation it is one tensor.
        empty = torch.empty(0, self.width, device=self.device)
        return state if isinstance(state, Tensor) else torch.cat([empty, *state])
