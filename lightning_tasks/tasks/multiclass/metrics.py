"""Scores of predictions of exactly one label an image, gathered over batches and processes.

All take probabilities (B, C) and targets (B, C), one 1 in each row.
"""

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy


class OneLabelAccuracy(MulticlassAccuracy):
    """The share of images whose likeliest label is the one that they have: fastai's accuracy."""

    def __init__(self, num_labels: int) -> None:
        super().__init__(num_labels, average="micro", validate_args=False)  # a check would wait for a GPU

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch of exactly one label an image."""
        super().update(preds, target.argmax(1))


class MostCommonAccuracy(Metric):
    """The accuracy of always predicting the commonest label: what an accuracy must beat to mean anything."""

    higher_is_better = True
    full_state_update = False
    positives: Tensor

    def __init__(self, num_labels: int) -> None:
        super().__init__()
        self.add_state("positives", default=torch.zeros(num_labels, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch of exactly one label an image; the predictions do not matter."""
        self.positives += (target == 1).sum(0)

    def compute(self) -> Tensor:
        """Return the commonest label's share of the images."""
        return self.positives.max() / self.positives.sum()
