"""Scores of label predictions, gathered over batches and processes: what torchmetrics lacks.

All take probabilities (B, C) and targets (B, C) of 1, 0 and −1 (which does not count).
"""

import math

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import BinaryAccuracy
from torchmetrics.utilities import dim_zero_cat

from lightning_tasks.tasks.multilabel.batch import IGNORED
from lightning_tasks.tasks.multilabel.scores import average_precision
from lightning_tasks.tasks.multilabel.thresholds import CURVE


class ThresholdedAccuracy(BinaryAccuracy):
    """The share of cells that are right, with a threshold for each label (C,): fastai's accuracy_multi."""

    thresholds: Tensor

    def __init__(self, thresholds: Tensor) -> None:
        # Of all cells as one: MultilabelAccuracy wants two labels at least. A check of the values would wait for a GPU.
        super().__init__(ignore_index=IGNORED, validate_args=False)
        self.register_buffer("thresholds", thresholds, persistent=False)

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch."""
        super().update((preds > self.thresholds).int(), target)


class MacroAveragePrecision(Metric):
    """The mean of the classes' average precisions, over the classes that have a positive.

    torchmetrics' own macro average counts a class without one as 0.
    """

    higher_is_better = True
    full_state_update = False
    preds: list[Tensor]
    target: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("preds", default=[], dist_reduce_fx="cat")
        self.add_state("target", default=[], dist_reduce_fx="cat")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch."""
        self.preds.append(preds)
        self.target.append(target)

    def compute(self) -> Tensor:
        """Return the mean; NaN where no class has a positive, and where a probability is NaN, which has no rank."""
        preds = dim_zero_cat(self.preds)
        mean = average_precision(preds, dim_zero_cat(self.target)).nanmean()
        return mean.masked_fill(preds.isnan().any(), math.nan)


class AllNegativeAccuracy(Metric):
    """The accuracy over cells of predicting no label at all: what an accuracy must beat to mean anything."""

    higher_is_better = True
    full_state_update = False
    negatives: Tensor
    cells: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("negatives", default=torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("cells", default=torch.tensor(0), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch; the predictions do not matter."""
        self.negatives += (target == 0).sum()
        self.cells += (target != IGNORED).sum()

    def compute(self) -> Tensor:
        """Return the share of cells without a label."""
        return self.negatives / self.cells


class ThresholdAccuracies(Metric):
    """The accuracy over cells at each threshold of the curve, over batches and processes.

    Counts alone are kept, so a large validation set costs no memory.
    """

    higher_is_better = True
    full_state_update = False
    right: Tensor
    negatives: Tensor
    cells: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("right", default=torch.zeros(len(CURVE), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("negatives", default=torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("cells", default=torch.tensor(0), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add probabilities (B, C) and targets (B, C) of 1, 0 and −1 (which does not count)."""
        counts, truth = target != IGNORED, target == 1
        predicted = preds > torch.tensor(CURVE, device=preds.device)[:, None, None]  # (29, B, C)
        self.right += ((predicted == truth) & counts).sum((1, 2))
        self.negatives += (target == 0).sum()
        self.cells += counts.sum()

    def compute(self) -> tuple[Tensor, Tensor]:
        """Return the accuracies (29,), and that of predicting no label at all."""
        return self.right / self.cells, self.negatives / self.cells
