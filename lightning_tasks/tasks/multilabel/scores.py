"""What a set of label predictions is worth: tensors in, numbers out; and gathered over batches and processes.

Targets (N, C) are 1 where an image has the label, 0 where it has not, and −1 where the cell does not count (VOC's
difficult objects). Probabilities are float32, or half precision makes ties that bias a ranking.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy
from torchmetrics import Metric
from torchmetrics.classification import BinaryAccuracy
from torchmetrics.functional.classification import binary_calibration_error, multilabel_average_precision
from torchmetrics.utilities import dim_zero_cat

IGNORED = -1  # a target that counts neither in the loss nor in the scores
_RECALLS = 11  # VOC2007's points, 0 to 1


@dataclass(frozen=True)
class ClassScores:
    """One label's scores; NaN where they have no meaning."""

    label: str
    positives: int
    average_precision: float
    average_precision_11: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class LabelScores:
    """A set's scores. The means over classes leave out those without a positive, which are named."""

    classes: tuple[ClassScores, ...]
    without_positive: tuple[str, ...]
    accuracy: float
    accuracy_all_negative: float
    mAP: float  # noqa: N815 - its name in the field
    mAP_11: float  # noqa: N815 - likewise
    precision_micro: float
    recall_micro: float
    f1_micro: float
    f1_macro: float
    calibration_error: float


def label_scores(probabilities: Tensor, targets: Tensor, vocab: list[str], predicted: Tensor) -> LabelScores:
    """Return all scores of a set; `predicted`: which labels are, (N, C) bool.

    Raises:
        ValueError: the shapes do not belong together.
    """
    if probabilities.shape != targets.shape or probabilities.shape[1:] != (len(vocab),):
        raise ValueError(
            f"probabilities of shape {tuple(probabilities.shape)}, targets of {tuple(targets.shape)} and "
            f"{len(vocab)} labels do not belong together"
        )
    counts = targets != IGNORED
    truth = targets == 1
    right = ((predicted == truth) & counts).sum() / counts.sum()
    predicted = predicted & counts
    true_positives = (predicted & truth).sum(0)
    precision, recall, f1 = precision_recall_f1(true_positives, predicted.sum(0), truth.sum(0))
    ap = average_precision(probabilities, targets)
    ap_11 = average_precision_11(probabilities, targets)
    has_positive = truth.any(0)
    micro = precision_recall_f1(true_positives.sum(), predicted.sum(), truth.sum())
    columns = zip(vocab, truth.sum(0), ap, ap_11, precision, recall, f1, strict=True)
    return LabelScores(
        classes=tuple(ClassScores(row[0], int(row[1]), *(float(value) for value in row[2:])) for row in columns),
        without_positive=tuple(name for name, has in zip(vocab, has_positive, strict=True) if not has),
        accuracy=float(right),
        accuracy_all_negative=accuracy_multi(torch.zeros_like(probabilities), targets, 0.5),
        mAP=float(ap[has_positive].mean()),
        mAP_11=float(ap_11[has_positive].mean()),
        precision_micro=float(micro[0]),
        recall_micro=float(micro[1]),
        f1_micro=float(micro[2]),
        f1_macro=float(f1[has_positive].mean()),
        calibration_error=calibration_error(probabilities, targets),
    )


def accuracy_multi(probabilities: Tensor, targets: Tensor, thresholds: float | Tensor = 0.5) -> float:
    """Return the share of cells (that count) that are predicted rightly: fastai's accuracy_multi."""
    counts = targets != IGNORED
    right = (probabilities > torch.as_tensor(thresholds)) == (targets == 1)
    return float((right & counts).sum() / counts.sum())


def label_losses(probabilities: Tensor, targets: Tensor) -> Tensor:
    """Return each image's mean binary cross-entropy (N,) over its cells that count; NaN where none does."""
    counts = targets != IGNORED
    cells = binary_cross_entropy(probabilities.double(), (targets == 1).double(), reduction="none")
    return ((cells * counts).sum(1) / counts.sum(1)).float()


def average_precision(probabilities: Tensor, targets: Tensor) -> Tensor:
    """Return each class's average precision (C,) over all points of its curve; NaN without a positive.

    The sum of precisions at each positive, without interpolation, as scikit-learn's `average_precision_score`.
    """
    scores = torch.full((probabilities.shape[1],), torch.nan, device=probabilities.device)
    # torchmetrics fails where nothing of a class counts, and warns without a positive.
    has_positive = (targets == 1).any(0)
    probabilities, targets = probabilities[:, has_positive], targets[:, has_positive].int()
    if has_positive.sum() == 1:  # its multilabel functions want two
        probabilities, targets = probabilities.expand(-1, 2), targets.expand(-1, 2)
    if has_positive.any():
        found = multilabel_average_precision(
            probabilities, targets, probabilities.shape[1], average="none", ignore_index=IGNORED
        )
        scores[has_positive] = found[: int(has_positive.sum())]
    return scores


def average_precision_11(probabilities: Tensor, targets: Tensor) -> Tensor:
    """Return each class's 11-point average precision (C,); NaN without a positive.

    The mean over the recalls 0, .1, ..., 1 of the highest precision at that recall or more. Equal probabilities count
    as one point of the curve.

    Source: Everingham et al., "The PASCAL Visual Object Classes (VOC) Challenge", IJCV 88(2), 2010, section 4.2.
    """
    return torch.stack([_eleven_points(probabilities[:, c], targets[:, c]) for c in range(probabilities.shape[1])])


def _eleven_points(probabilities: Tensor, targets: Tensor) -> Tensor:
    counts = targets != IGNORED
    probabilities, truth = probabilities[counts], targets[counts] == 1
    if not truth.any():
        return torch.tensor(torch.nan)
    ordered, order = probabilities.sort(descending=True, stable=True)
    true_positives = truth[order].cumsum(0).double()
    last_of_ties = torch.cat([ordered[1:] != ordered[:-1], torch.tensor([True])])
    precision = (true_positives / torch.arange(1, len(true_positives) + 1))[last_of_ties]
    positives = true_positives[-1]
    recall = (true_positives / positives)[last_of_ties]
    # Compared as whole numbers: 0.1 · 3 is not 0.3 in binary.
    reached = (recall * positives).round() * (_RECALLS - 1) >= torch.arange(_RECALLS)[:, None] * positives
    return (precision * reached).max(1).values.mean().float()


def calibration_error(probabilities: Tensor, targets: Tensor, bins: int = 15) -> float:
    """Return the expected calibration error over all cells: how far probabilities lie from the share that is true.

    The mean over equally wide bins, weighted by their cells, of |mean probability − share of positives|.

    Source: Naeini, Cooper, Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI 2015.
    """
    counts = targets != IGNORED
    if not counts.any():
        return math.nan
    return float(binary_calibration_error(probabilities[counts], (targets[counts] == 1).int(), n_bins=bins))


def precision_recall_f1(true_positives: Tensor, predicted: Tensor, positives: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the three; precision is NaN where nothing is predicted, recall and F1 where there is no positive."""
    recall = true_positives / positives
    f1 = torch.where(positives > 0, 2 * true_positives / (predicted + positives), torch.nan)
    return true_positives / predicted, recall, f1


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
