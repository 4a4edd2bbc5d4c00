"""The report's page of a classifier."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from lightning_tasks.reports.gallery import Gallery, ReadReduced, make_gallery
from lightning_tasks.reports.page import render_page
from lightning_tasks.reports.run_info import RunInfo
from lightning_tasks.tasks.multilabel.threshold_counts import STEPS, threshold_counts

if TYPE_CHECKING:
    from lightning_tasks.tasks.multilabel.predictions import LabelPredictions

_TEMPLATE = Path(__file__).with_name("page.html.j2")
_KINDS = {(True, True): "TP", (True, False): "FN", (False, True): "FP"}  # (in the image, predicted)


@dataclass(frozen=True)
class LabelTag:
    """A label of an image: a true positive (TP), a false negative (FN) or a false positive (FP)."""

    kind: str
    name: str
    probability: float


@dataclass(frozen=True)
class LabelDetails:
    """What stands below an image."""

    loss: float
    tags: list[LabelTag]


def label_page(found: "LabelPredictions", run: RunInfo, split: str, read: ReadReduced) -> str:
    """Return the page; see `SplitPredictions.report`."""
    limits = found.thresholds.tolist()
    common = limits[0] if len(set(limits)) == 1 else None
    values = label_scores_of_page(found) | {
        "threshold": common,
        "thresholds": limits,
        "slider": 0.5 if common is None else round(common * STEPS) / STEPS,
        "counts": threshold_counts(found.probabilities, found.targets),
    }
    return render_page(_TEMPLATE, run, split, label_gallery(found, read), **values)


def label_scores_of_page(found: "LabelPredictions") -> dict[str, Any]:
    """Return what the template shows of any labels, without thresholds."""
    scores = found.scores()
    by_precision = sorted(scores.classes, key=lambda label: _descending(label.average_precision))
    return {"scores": scores, "by_precision": by_precision, "vocab": found.vocab, "thresholds": []}


def label_gallery(found: "LabelPredictions", read: ReadReduced) -> Gallery:
    """Return the images with their labels, by which they can be filtered."""
    targets, predicted, losses = found.targets, found.predicted, found.losses()
    involved = (targets == 1) | (predicted & (targets == 0))

    def details(row: int) -> LabelDetails:
        tags = label_tags(found.probabilities[row], targets[row], found.vocab, predicted[row])
        return LabelDetails(float(losses[row]), tags)

    return make_gallery(
        found.paths,
        found.groups,
        losses,
        read,
        details,
        filters={"Label": {f"label-{c}": name for c, name in enumerate(found.vocab)}},
        keys_of=lambda row: [f"label-{c}" for c in involved[row].nonzero().flatten().tolist()],
    )


def label_tags(probabilities: Tensor, targets: Tensor, vocab: Sequence[str], predicted: Tensor) -> list[LabelTag]:
    """Return the labels that one image has or is predicted to have, the most probable first.

    Args:
        probabilities: (C,).
        targets: (C,) of 1, 0 and −1; of the last there is no tag.
        vocab: C labels.
        predicted: (C,) bool.
    """
    columns = (vocab, probabilities.tolist(), targets.tolist(), predicted.tolist())
    tags = [
        LabelTag(_KINDS[target == 1, found], name, probability)
        for name, probability, target, found in zip(*columns, strict=True)
        if target >= 0 and (target == 1, found) in _KINDS
    ]
    return sorted(tags, key=lambda tag: -tag.probability)


def _descending(precision: float) -> float:
    return 0.0 if math.isnan(precision) else -precision
