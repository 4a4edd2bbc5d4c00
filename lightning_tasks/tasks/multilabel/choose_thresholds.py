"""From which probability on is a label predicted? What is chosen, and what it brings, for a person."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_tasks.errors import ConfigError
from lightning_tasks.tasks.capabilities import ThresholdChoice
from lightning_tasks.tasks.multilabel.predictions import LabelPredictions
from lightning_tasks.tasks.multilabel.scores import LabelScores, accuracy_multi, calibration_error, label_scores
from lightning_tasks.tasks.multilabel.threshold_figure import threshold_figure
from lightning_tasks.tasks.multilabel.thresholds import (
    Aim,
    Gain,
    Scores,
    best_threshold,
    calibrated,
    class_thresholds,
    temperature,
    threshold_curve,
    threshold_gain,
)

_FOLDS = 5
_ROUNDING = 1e-6  # recalls are float32


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
        aim: what is chosen for; see `class_thresholds`.
        recall: for `precision_at_recall`.
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
    gain = threshold_gain(held_out, targets, aim, recall, _FOLDS)
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
