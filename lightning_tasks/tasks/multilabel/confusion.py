"""Which labels are missed, found where they are not, and taken for one another; cells of target −1 do not count."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_tasks.reports.matrix import Matrix, matrix
from lightning_tasks.tasks.multilabel.scores import IGNORED

_MOST_LABELS = 24  # of a matrix: more could not be read
_MOST_PAIRS = 20


class LabelConfusion(NamedTuple):
    """How many images are of which kind for a label, over those that count."""

    label: str
    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def missed(self) -> float:
        """The share of the images with the label in which it is not found; NaN where there are none."""
        return self.fn / (self.tp + self.fn) if self.tp + self.fn else torch.nan

    @property
    def false_alarms(self) -> float:
        """The share of the images without the label in which it is found; NaN where there are none."""
        return self.fp / (self.fp + self.tn) if self.fp + self.tn else torch.nan


class ConfusedPair(NamedTuple):
    """Images that have a label which is missed, and another that is found where it is not."""

    label: str
    taken_for: str
    images: int
    share: float  # of the images with the label


@dataclass(frozen=True)
class Confusions:
    """What the report shows of mistakes."""

    labels: list[LabelConfusion]
    pairs: list[ConfusedPair]  # the most frequent ones, those first
    matrices: list[Matrix]
    n_labels: int  # of the matrices


def confusions_of(predicted: Tensor, targets: Tensor, vocab: Sequence[str], exclusive: bool) -> Confusions:
    """Return what is confused in N images with C labels.

    Args:
        predicted: (N, C) bool.
        targets: (N, C) of 1, 0 and −1.
        vocab: the C labels.
        exclusive: each image has exactly one of them, so that they never occur together.
    """
    counts = label_confusions(predicted, targets)
    wrong = counts[:, 1] + counts[:, 2]
    shown = wrong.argsort(descending=True, stable=True)[:_MOST_LABELS].sort().values
    names = [vocab[c] for c in shown.tolist()]
    true, found = (shares[shown][:, shown] for shares in co_occurrence(predicted, targets))
    if exclusive:
        matrices = [
            matrix("True label by row, predicted one by column", "{1} is predicted in images of {0}", names, found)
        ]
    else:
        matrices = [
            matrix("True: which labels stand together", "{1} is in images with {0}", names, true),
            matrix("Predicted: which are found in their place", "{1} is predicted in images with {0}", names, found),
        ]
    labels = [LabelConfusion(name, *row) for name, row in zip(vocab, counts.tolist(), strict=True)]
    return Confusions(labels, confused_pairs(predicted, targets, vocab), matrices, len(names))


def label_confusions(predicted: Tensor, targets: Tensor) -> Tensor:
    """Return each label's true and false positives, false and true negatives, (C, 4) int64."""
    known, truth = targets != IGNORED, targets == 1
    kinds = (predicted & truth, predicted & ~truth, ~predicted & truth, ~predicted & ~truth)
    return torch.stack([(kind & known).sum(0) for kind in kinds], 1)


def co_occurrence(predicted: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the shares of the images with label i that have label j, and in which j is predicted: (C, C) each.

    Of the images with i, those in which it is unknown whether they have j do not count; NaN where none is left.
    """
    known, truth = targets != IGNORED, targets == 1
    with_label = truth.double().T
    of = with_label @ known.double()
    return with_label @ truth.double() / of, with_label @ (predicted & known).double() / of


def confused_pairs(predicted: Tensor, targets: Tensor, vocab: Sequence[str]) -> list[ConfusedPair]:
    """Return which labels are missed while which others are found that are not there, the most images first."""
    missed = (targets == 1) & ~predicted
    false = (targets == 0) & predicted
    images = (missed.double().T @ false.double()).long()
    positives = (targets == 1).sum(0)
    order = images.flatten().argsort(descending=True, stable=True)[:_MOST_PAIRS]
    return [
        ConfusedPair(vocab[i], vocab[j], int(images[i, j]), int(images[i, j]) / int(positives[i]))
        for i, j in (divmod(int(place), len(vocab)) for place in order)
        if images[i, j]
    ]
