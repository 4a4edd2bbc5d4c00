"""From which probability on is a label predicted? Thresholds chosen on predictions, and what they honestly bring."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lightning_tasks.evaluation.labels import IGNORED, accuracy_multi

CURVE = tuple(0.05 + 0.9 * i / 28 for i in range(29))  # the walk-through's, .05 to .95
Aim = Literal["accuracy", "f1", "precision_at_recall"]
_EPSILON = 1e-9


def threshold_curve(probabilities: Tensor, targets: Tensor) -> list[tuple[float, float]]:
    """Return the walk-through's 29 thresholds with the accuracy over cells (accuracy_multi) at each."""
    return [(threshold, accuracy_multi(probabilities, targets, threshold)) for threshold in CURVE]


def best_threshold(probabilities: Tensor, targets: Tensor) -> float:
    """Return the threshold of the curve with the highest accuracy; the middle one where several have it."""
    return best_of_curve([accuracy for _, accuracy in threshold_curve(probabilities, targets)])


def best_of_curve(accuracies: Sequence[float]) -> float:
    """Return the threshold whose accuracy, of the 29, is the highest; the middle one where several are."""
    best = [i for i, accuracy in enumerate(accuracies) if accuracy == max(accuracies)]
    return CURVE[best[len(best) // 2]]


def class_thresholds(probabilities: Tensor, targets: Tensor, aim: Aim = "f1", recall: float = 0.8) -> Tensor:
    """Return a threshold of the curve for each class (C,); of several that are equally good, the middle one.

    A class without a positive gets the highest for `accuracy`, and .5 for the other aims.

    Args:
        probabilities: (N, C).
        targets: (N, C) of 1, 0 and −1 (which does not count).
        aim: what each class's threshold makes highest. `precision_at_recall`: the precision among the thresholds that
            find at least the share `recall` of the positives, or where none does, among those that find the most.
        recall: for `precision_at_recall`.
    """
    grid = torch.tensor(CURVE)
    counts, truth = targets != IGNORED, targets == 1
    predicted = (probabilities[None] > grid[:, None, None]) & counts  # (29, N, C)
    hits = (predicted & truth).sum(1).double()
    said, positives, cells = predicted.sum(1).double(), truth.sum(0).double(), counts.sum(0).double()
    if aim == "accuracy":
        score = cells - positives - said + 2 * hits
    elif aim == "f1":
        score = 2 * hits / (said + positives)
    else:
        found = hits / positives
        enough = found >= torch.minimum(torch.tensor(recall), found.max(0).values) - _EPSILON
        score = torch.where(enough, hits / said.clamp(min=1), -1.0)
    score = score.nan_to_num(-1.0)  # of a class without a positive
    chosen = torch.stack([grid[_middle_of_the_best(score[:, c])] for c in range(score.shape[1])])
    return torch.where((positives > 0) | torch.tensor(aim == "accuracy"), chosen, 0.5)


@dataclass(frozen=True)
class HonestGain:
    """A score with one threshold for all labels at .5, with chosen ones where they were chosen, and elsewhere."""

    at_half: float
    where_chosen: float
    cross_fitted: float


def honest_gain(
    probabilities: Tensor,
    targets: Tensor,
    aim: Literal["accuracy", "f1"] = "f1",
    per_class: bool = True,
    folds: int = 5,
    seed: int = 0,
) -> HonestGain:
    """Return what choosing thresholds brings: accuracy over cells, or the mean F1 over classes with a positive.

    For `cross_fitted` each fifth of the pictures is predicted with thresholds that were chosen on the other four: what
    new pictures may expect. `where_chosen` flatters.

    Args:
        probabilities: (N, C).
        targets: (N, C) of 1, 0 and −1.
        aim: what is chosen for, and reported.
        per_class: a threshold for each class, or one for all (by accuracy).
        folds: how many parts.
        seed: of the parts.
    """
    part = torch.randperm(len(targets), generator=torch.Generator().manual_seed(seed)) % folds
    predicted = torch.zeros_like(targets, dtype=torch.bool)
    for fold in range(folds):
        held_out = part == fold
        predicted[held_out] = probabilities[held_out] > _chosen(
            probabilities[~held_out], targets[~held_out], aim, per_class
        )
    return HonestGain(
        at_half=_score(probabilities > 0.5, targets, aim),
        where_chosen=_score(probabilities > _chosen(probabilities, targets, aim, per_class), targets, aim),
        cross_fitted=_score(predicted, targets, aim),
    )


def _chosen(probabilities: Tensor, targets: Tensor, aim: Aim, per_class: bool) -> Tensor:
    if per_class:
        return class_thresholds(probabilities, targets, aim)
    return torch.tensor(best_threshold(probabilities, targets))


def _score(predicted: Tensor, targets: Tensor, aim: str) -> float:
    counts, truth = targets != IGNORED, targets == 1
    if aim == "accuracy":
        return float(((predicted == truth) & counts).sum() / counts.sum())
    said, hits, positives = (predicted & counts).sum(0), (predicted & truth).sum(0), truth.sum(0)
    return float((2 * hits / (said + positives))[positives > 0].mean())


def _middle_of_the_best(scores: Tensor) -> int:
    best = torch.nonzero(scores >= scores.max() - _EPSILON).flatten()
    return int(best[len(best) // 2])


def temperature(logits: Tensor, targets: Tensor) -> float:
    """Return what logits (N, C) must be divided by for the lowest binary cross-entropy.

    Source: Guo et al., "On Calibration of Modern Neural Networks", 2017, for independent labels.
    """
    counts = targets != IGNORED
    logits, truth = logits[counts].double(), (targets[counts] == 1).double()
    log_temperature = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_temperature], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits / log_temperature.exp(), truth)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]  # torch's own
    return float(log_temperature.detach().exp())
