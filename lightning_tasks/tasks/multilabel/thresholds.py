"""From which probability on is a label predicted? Thresholds chosen on predictions, and what they honestly bring."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_tasks.errors import ConfigError
from lightning_tasks.tasks.multilabel.predictions import LabelPredictions
from lightning_tasks.tasks.multilabel.scores import (
    IGNORED,
    LabelScores,
    accuracy_multi,
    calibration_error,
    label_scores,
    precision_recall_f1,
)
from lightning_tasks.tasks.multilabel.threshold_curve import threshold_curve, threshold_figure
from lightning_tasks.tasks.task import ThresholdAim as Aim
from lightning_tasks.tasks.task import ThresholdChoice

_EPSILON = 1e-9
_MAX_TEMPERATURE = 20.0
_MAX_LOGIT = 1e4  # a logit; at any temperature the probability is 0 or 1
_FOLDS = 5
_ROUNDING = 1e-6  # recalls are float32


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


def choose_thresholds(
    found: LabelPredictions,
    given_temperature: float,
    aim: Aim = "f1",
    recall: float = 0.8,
    each_label: bool = True,
    calibrate: bool = False,
) -> ThresholdChoice:
    """Return thresholds, and a temperature, chosen on predictions.

    The table's cross-fitted scores are of images that chose neither their thresholds nor their temperature; the
    probabilities that their thresholds were chosen on had a temperature, one number, that they took part in.

    Args:
        found: the predictions; of these the logits count, as their probabilities may all round to 0 or 1.
        given_temperature: to be kept, unless another is chosen.
        aim: what is chosen for; see `class_thresholds`, also for `recall`.
        recall: the share of the positives to be found.
        each_label: a threshold for each label, or one for all.
        calibrate: choose the temperature first.

    Raises:
        ConfigError: there are too few images, or `recall` is no share.
    """
    logits, targets, vocab = found.logits, found.targets, found.vocab
    if len(targets) < _FOLDS:
        raise ConfigError(f"{len(targets)} images are too few to choose thresholds on: {_FOLDS} at least.")
    if not ((targets == 0) | (targets == 1)).any():
        raise ConfigError("No label of these images counts: all are difficult. Choose on other images.")
    if not 0 < recall <= 1:
        raise ConfigError(f"--recall is {recall}; it is a share of the positives, above 0 and up to 1.")
    probabilities = (logits / given_temperature).sigmoid()
    chosen_temperature, lines, held_out = given_temperature, [], probabilities
    if calibrate:
        chosen_temperature = temperature(logits, targets)
        before, held_out = calibration_error(probabilities, targets), calibrated(logits, targets)
        after = calibration_error(held_out, targets)
        lines = [f"temperature {chosen_temperature:.3f}: calibration error {before:.4f}, cross-fitted {after:.4f}", ""]
        probabilities = (logits / chosen_temperature).sigmoid()  # as the model makes them
    common = best_threshold(probabilities, targets, aim, recall)
    per_label = class_thresholds(probabilities, targets, aim, recall)
    gain = threshold_gain(held_out, targets, aim, recall)
    limits = per_label if each_label else torch.full_like(per_label, common)
    scores = label_scores(probabilities, targets, vocab, probabilities > limits)
    lines += [*_classes(scores, limits), ""]
    if aim != "accuracy":
        lines += [f"{name}: no positive to choose by, so 0.5" for name in scores.without_positive if each_label]
    lines += _rounded(vocab, probabilities)
    if aim == "precision_at_recall":
        lines += _unmet(scores, gain, recall, each_label)
    nothing = accuracy_multi(torch.zeros_like(probabilities), targets)
    lines += [
        f"{'':<36}  accuracy  precision  recall      F1",
        _row("0.5 for all", gain.at_half),
        _row(f"one for all ({common:.4g}), cross-fitted", gain.one_cross_fitted),
        _row("one for each, cross-fitted", gain.each_cross_fitted),
        _row("one for each, in-sample (optimistic)", gain.each_where_chosen),
        f"{'predicting nothing':<36}  {nothing:>8.4f}",
    ]
    curve = threshold_figure([accuracy for _, accuracy in threshold_curve(probabilities, targets)], nothing)
    kept = {"threshold": per_label.tolist() if each_label else common, "temperature": chosen_temperature}
    return ThresholdChoice(kept, "\n".join(lines), curve)


def _classes(scores: LabelScores, thresholds: Tensor) -> list[str]:
    width = max(len("label"), *(len(row.label) for row in scores.classes))
    lines = [f"{'label':<{width}}  positives  threshold  precision  recall      F1"]
    for row, threshold in zip(scores.classes, thresholds.tolist(), strict=True):
        numbers = f"{row.precision:>9.4f}  {row.recall:>6.4f}  {row.f1:>6.4f}"
        lines.append(f"{row.label:<{width}}  {row.positives:>9,}  {threshold:>9.4g}  {numbers}")
    return lines


def _rounded(vocab: Sequence[str], probabilities: Tensor) -> list[str]:
    """Return what is to be said of labels whose probabilities (N, C) float32 has all rounded to 0, or all to 1."""
    return [
        f"{label}: every probability rounds to {low:g}, which no threshold tells apart; --calibrate true may"
        for label, low, high in zip(vocab, probabilities.amin(0).tolist(), probabilities.amax(0).tolist(), strict=True)
        if low == high and low in (0, 1)
    ]


def _unmet(scores: LabelScores, gain: Gain, wanted: float, each_label: bool) -> list[str]:
    """Return what is to be said where the share `wanted` of the positives is not found."""
    with_positives = [(row.label, row.recall) for row in scores.classes if row.positives]
    found = with_positives if each_label else [("all labels", scores.recall_micro)]
    lines = [
        f"{label}: recall {recall:.4f} is the most that a threshold finds, not {wanted:g}"
        for label, recall in found
        if recall < wanted - _ROUNDING
    ]
    if each_label and gain.each_cross_fitted.recall < wanted - _ROUNDING:
        lines.append(f"expect a recall of {gain.each_cross_fitted.recall:.4f} of other images, not {wanted:g}")
    return lines


def _row(name: str, scores: Scores) -> str:
    return f"{name:<36}  {scores.accuracy:>8.4f}  {scores.precision:>9.4f}  {scores.recall:>6.4f}  {scores.f1:>6.4f}"


def best_threshold(probabilities: Tensor, targets: Tensor, aim: Aim = "accuracy", recall: float = 0.8) -> float:
    """Return one threshold for all classes, chosen over all cells as `class_thresholds` does for one."""
    return float(class_thresholds(probabilities.reshape(-1, 1), targets.reshape(-1, 1), aim, recall))


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


def threshold_gain(
    probabilities: Tensor, targets: Tensor, aim: Aim = "f1", recall: float = 0.8, folds: int = _FOLDS, seed: int = 0
) -> Gain:
    """Return the scores at .5, with one chosen threshold, and with one for each class.

    Cross-fitted: each of the folds of images is predicted with thresholds that were chosen on the others. For the
    arguments see `class_thresholds`.
    """
    by_shared, by_own = (torch.zeros_like(targets, dtype=torch.bool) for _ in range(2))
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
    columns = precision_recall_f1((predicted & truth).sum(0), (predicted & counts).sum(0), truth.sum(0))
    accuracy = ((predicted == truth) & counts).sum() / counts.sum()
    return Scores(float(accuracy), *(float(column.nan_to_num()[truth.any(0)].mean()) for column in columns))


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


def calibrated(logits: Tensor, targets: Tensor, folds: int = _FOLDS, seed: int = 0) -> Tensor:
    """Return cross-fitted probabilities (N, C): each fifth by the temperature that fits the other four best."""
    probabilities = torch.zeros_like(logits)
    for held_out in _parts(len(logits), folds, seed):
        probabilities[held_out] = (logits[held_out] / temperature(logits[~held_out], targets[~held_out])).sigmoid()
    return probabilities
