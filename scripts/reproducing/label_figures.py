"""Scores of labels that means over images hide: each label's own, read off what `get_preds` wrote."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from lightning_tasks.tasks.multilabel.scores import IGNORED, label_scores
from lightning_tasks.tasks.multilabel.thresholds import threshold_gain

RAREST = 5
_NUMBERS_FROM = 4  # columns: fname, labels, predicted, ignored, and each label's probability
COLUMNS = {
    "macro_f1": "macro F1 at .5",
    "macro_f1_chosen": "at chosen thresholds",
    "rarest_recall": f"recall at .5 of the rarest {RAREST}",
    "rarest_f1": "their F1 at .5",
    "rarest_average_precision": "their AP",
}


def label_figures(predictions: Path) -> dict[str, Any]:
    """Return macro F1, the means over the labels that are rarest in the split, and each label's scores.

    Thresholds are .5, or chosen for each label, cross-fitted: images are predicted by thresholds that others chose.

    Args:
        predictions: a csv by `get_preds` of images with any number of labels, between which stands a blank.
    """
    with predictions.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    vocab = header[_NUMBERS_FROM:]
    targets = torch.tensor([[_target(label, row[1].split(), row[3].split()) for label in vocab] for row in rows])
    probabilities = torch.tensor([[float(cell) for cell in row[_NUMBERS_FROM:]] for row in rows])
    scores = label_scores(probabilities, targets, vocab, probabilities > 0.5)
    rarest = sorted((label for label in scores.classes if label.positives), key=lambda label: label.positives)[:RAREST]

    def mean(name: str) -> float:
        return sum(getattr(label, name) for label in rarest) / len(rarest)

    kept = ("positives", "average_precision", "precision", "recall", "f1")
    return {
        "mAP": scores.mAP,
        "macro_f1": scores.f1_macro,
        "macro_f1_chosen": threshold_gain(probabilities, targets).each_cross_fitted.f1,
        "rarest": [label.label for label in rarest],
        **{f"rarest_{name}": mean(name) for name in ("recall", "f1", "average_precision")},
        "labels": {label.label: {name: getattr(label, name) for name in kept} for label in scores.classes},
    }


def _target(label: str, labels: Sequence[str], ignored: Sequence[str]) -> float:
    return IGNORED if label in ignored else float(label in labels)
