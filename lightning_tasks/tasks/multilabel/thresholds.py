"""From which probability on is a label predicted? Thresholds chosen on predictions, and what they honestly bring."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lightning_tasks.tasks.multilabel.batch import IGNORED
from lightning_tasks.tasks.multilabel.scores import accuracy_multi

CURVE = tuple(0.05 + 0.9 * i / 28 for i in range(29))  # fastai's chapter's, .05 to .95
Aim = Literal["accuracy", "f1", "precision_at_recall"]
_EPSILON = 1e-9
_MAX_TEMPERATURE = 20.0
_MAX_LOGIT = 1e4  # a logit; at any temperature the probability is 0 or 1


def threshold_curve(probabilities: Tensor, targets: Tensor) -> list[tuple[float, float]]:
    """Return fastai's 29 thresholds with the accuracy over cells (accuracy_multi) at each."""
    return [(threshold, accuracy_multi(probabilities, targets, threshold)) for threshold in CURVE]


def best_threshold(probabilities: Tensor, targets: Tensor, aim: Aim = "accuracy", recall: float = 0.8) -> float:
    """Return one threshold for all classes, chosen over all cells as `class_thresholds` does for one."""
    return float(class_thresholds(probabilities.reshape(-1, 1), targets.reshape(-1, 1), aim, recall))


def best_of_curve(accuracies: Sequence[float]) -> float:
    """Return the threshold whose accuracy, of the 29, is the highest; the middle one where several are."""
    best = [i for i, accuracy in enumerate(accuracies) if accuracy == max(accuracies)]
    return CURVE[best[len(best) // 2]]


def class_thresholds(probabilities: Tensor, targets: Tensor, aim: Aim = "f1", recall: float = 0.8) -> Tensor:
    """Return for each class (C,) the best of all thresholds from 0 to 1, float32: what counts is above it.

    It lies in the middle between two probabilities that occur, of thresholds that are equally good in the widest gap. A
    class without a positive gets .5, but for `accuracy`.

    Args:
        probabilities: (N, C) from 0 to 1, float32.
        targets: (N, C) of 1, 0 and −1 (which does not count).
        aim: what each class's threshold makes highest. `precision_at_recall`: the precision among the thresholds that
            find at least the share `recall` of the positives, or where none does, among those that find the most; of
            equal precisions, that which finds the most.
        recall: for `precision_at_recall`.
    """
    columns = zip(probabilities.float().T, targets.T, strict=True)
    return torch.stack([_best(*column, aim, recall) for column in columns])


def _best(probabilities: Tensor, targets: Tensor, aim: Aim, recall: float) -> Tensor:
    """Return the threshold, a scalar, of one class's probabilities (N,) and targets (N,)."""
    counts = targets != IGNORED
    probabilities, truth = probabilities[counts], targets[counts] == 1
    if not truth.any() and aim != "accuracy":
        return torch.tensor(0.5)
    cuts, gaps = _cuts(probabilities)
    true_positives, num_predicted = (_above(cuts, part) for part in (probabilities[truth], probabilities))
    cells, positives = len(truth), int(truth.sum())
    if aim == "accuracy":
        score, tie_break = cells - positives - num_predicted + 2 * true_positives, gaps
    elif aim == "f1":
        score, tie_break = 2 * true_positives / (num_predicted + positives), gaps
    else:
        recalls = true_positives / positives
        enough = recalls >= min(recall, float(recalls.max())) - _EPSILON
        score, tie_break = torch.where(enough, true_positives / num_predicted.clamp(min=1), -1.0), true_positives
    return cuts[torch.where(score == score.max(), tie_break, -1.0).argmax()]


def _cuts(probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """Return thresholds (K,), one for each way that `> threshold` divides probabilities (N,), and their gaps' widths.

    The last, 1, predicts no label where a probability is 1. None predicts one where it is 0.
    """
    edges = torch.cat([probabilities, torch.tensor([0.0, 1.0])]).unique()  # type: ignore[no-untyped-call]  # torch's own
    below, above = edges[:-1], edges[1:]
    middle = (below + above) / 2
    middle = torch.where(middle < above, middle, below)  # between neighbours in float32 there is nothing
    return torch.cat([middle, edges[-1:]]), torch.cat([above - below, torch.zeros(1)])


def _above(thresholds: Tensor, probabilities: Tensor) -> Tensor:
    """Return how many of the probabilities are above each threshold, (K,) float64."""
    below = torch.searchsorted(probabilities.sort().values, thresholds, right=True)
    return (len(probabilities) - below).double()


@dataclass(frozen=True)
class Scores:
    """The accuracy over cells, and means over the classes with a positive; a precision of nothing is 0."""

    accuracy: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Gain:
    """What chosen thresholds bring. Cross-fitted: what new images may expect. In-sample: optimistically biased."""

    at_half: Scores
    one_cross_fitted: Scores
    each_cross_fitted: Scores
    each_where_chosen: Scores


def threshold_gain(
    probabilities: Tensor, targets: Tensor, aim: Aim = "f1", recall: float = 0.8, folds: int = 5, seed: int = 0
) -> Gain:
    """Return the scores at .5, with one chosen threshold, and with one for each class.

    Cross-fitted: each fifth of the images is predicted with thresholds that were chosen on the other four.

    Args:
        probabilities: (N, C).
        targets: (N, C) of 1, 0 and −1 (which does not count).
        aim: what is chosen for; see `class_thresholds`.
        recall: for `precision_at_recall`.
        folds: how many parts.
        seed: of the parts.
    """
    by_shared, by_own = torch.zeros_like(targets, dtype=torch.bool), torch.zeros_like(targets, dtype=torch.bool)
    for held_out in _parts(len(targets), folds, seed):
        chosen_on, truth, part = probabilities[~held_out], targets[~held_out], probabilities[held_out]
        by_shared[held_out] = part > best_threshold(chosen_on, truth, aim, recall)
        by_own[held_out] = part > class_thresholds(chosen_on, truth, aim, recall)
    return Gain(
        at_half=_scores(probabilities > 0.5, targets),
        one_cross_fitted=_scores(by_shared, targets),
        each_cross_fitted=_scores(by_own, targets),
        each_where_chosen=_scores(probabilities > class_thresholds(probabilities, targets, aim, recall), targets),
    )


def _parts(n: int, folds: int, seed: int) -> list[Tensor]:
    """Return `folds` masks (N,), each of the images that are held out."""
    part = torch.randperm(n, generator=torch.Generator().manual_seed(seed)) % folds
    return [part == fold for fold in range(folds)]


def _scores(predicted: Tensor, targets: Tensor) -> Scores:
    counts, truth = targets != IGNORED, targets == 1
    num_predicted, true_positives = (predicted & counts).sum(0), (predicted & truth).sum(0)
    positives = truth.sum(0)
    has_positive = positives > 0
    return Scores(
        accuracy=float(((predicted == truth) & counts).sum() / counts.sum()),
        precision=float((true_positives / num_predicted.clamp(min=1))[has_positive].mean()),
        recall=float((true_positives / positives)[has_positive].mean()),
        f1=float((2 * true_positives / (num_predicted + positives))[has_positive].mean()),
    )


def temperature(logits: Tensor, targets: Tensor) -> float:
    """Return what logits (N, C) must be divided by for the lowest binary cross-entropy: from 1/20 to 20.

    Beyond that, of a model that knows nothing (or all), the probabilities would no longer differ in float32.

    Source: Guo et al., "On Calibration of Modern Neural Networks", 2017, for independent labels.
    """
    counts = targets != IGNORED
    logits = logits[counts].double().clamp(-_MAX_LOGIT, _MAX_LOGIT)
    truth = (targets[counts] == 1).double()
    log_temperature = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_temperature], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits / log_temperature.exp(), truth)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]  # torch's own
    return min(max(float(log_temperature.detach().exp()), 1 / _MAX_TEMPERATURE), _MAX_TEMPERATURE)


def calibrated(logits: Tensor, targets: Tensor, folds: int = 5, seed: int = 0) -> Tensor:
    """Return cross-fitted probabilities (N, C): each fifth by the temperature that fits the other four best."""
    probabilities = torch.zeros_like(logits)
    for held_out in _parts(len(logits), folds, seed):
        probabilities[held_out] = (logits[held_out] / temperature(logits[~held_out], targets[~held_out])).sigmoid()
    return probabilities
