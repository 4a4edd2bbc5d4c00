"""Which of the labels does the image have? Exactly one of them."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy

from lightning_tasks.batch import TargetBatch
from lightning_tasks.errors import ConfigError
from lightning_tasks.models.backbone import are_weights_following
from lightning_tasks.tasks.multiclass.datamodule import check_one_label
from lightning_tasks.tasks.multilabel.classifier import MultiLabelClassifier
from lightning_tasks.tasks.multilabel.datamodule import MultiLabelDataModule
from lightning_tasks.tasks.multilabel.label_weights import Weighting, WeightsOf, exclusive_weights, read_weights
from lightning_tasks.tasks.multilabel.losses import check_label_smoothing, keep_out_of_checkpoints

_OF_ANY_NUMBER = ("threshold", "asymmetric_gamma", "asymmetric_clip", "pos_weight")  # settings that mean nothing here


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


class MultiClassClassifier(MultiLabelClassifier):
    """Cross-entropy over labels of which each image has exactly one.

    Probabilities are a softmax, and the likeliest label is predicted. Logs `loss`, `accuracy` of the likeliest label,
    `mAP`, and `accuracy_most_common`: what the commonest label alone would score. Outside training, `loss` is without
    label smoothing and weights.

    Args:
        vocab: the labels, in the order of the targets' columns: two at least.
        backbone: a timm model by its tagged name, or `hf-hub:USER/NAME` or `local-dir:FOLDER`.
        loss: what training minimises.
        label_smoothing: moves each training target that share of the way to 1/C.
        class_weight: what images of each label weigh in training; `balanced`: one over its share of the training split;
            `sqrt`: the square root of it; None: all alike.
        **kwargs: see `MultiLabelClassifier` and `ImageModel`.

    Raises:
        LightningTasksError: backbone, weights or sizes do not work.
    """

    not_kept = (*MultiLabelClassifier.not_kept, *_OF_ANY_NUMBER)
    is_exclusive = True
    weights_of: ClassVar[dict[str, tuple[WeightsOf, str]]] = {"class_weight": (exclusive_weights, "weight")}

    def __init__(
        self,
        vocab: list[str],
        backbone: str = "resnet50.tv_in1k",
        loss: Literal["cross_entropy"] = "cross_entropy",
        label_smoothing: float = 0.0,
        class_weight: list[float] | Weighting | None = None,
        **kwargs: Any,  # noqa: ANN401 - of the parent, which the parser resolves
    ) -> None:
        if len(vocab) == 1:
            raise ConfigError(
                f"MultiClassClassifier tells labels apart; the images for training have {vocab[0]!r} alone. "
                "Take MultiLabelClassifier; `lightning-tasks check` says which labels are left out of training."
            )
        if are_weights_following():  # a checkpoint of an older version has what never meant anything here
            kwargs = {name: value for name, value in kwargs.items() if name not in ("_class_path", *_OF_ANY_NUMBER)}
        super().__init__(
            vocab,
            backbone,
            threshold=0.5,
            loss="bce",
            label_smoothing=check_label_smoothing(label_smoothing),
            asymmetric_gamma=(0.0, 0.0),
            asymmetric_clip=0.0,
            pos_weight=1.0,
            class_weight=class_weight,
            **kwargs,
        )

    @classmethod
    def load_from_checkpoint(cls, *args: Any, **kwargs: Any) -> Self:  # noqa: ANN401 - Lightning's own
        """Do as `ImageModel`; checkpoints of older versions, which name MultiLabelClassifier, are this class's too."""
        return super().load_from_checkpoint(*args, _instantiator=None, **kwargs)

    def setup(self, stage: str) -> None:
        """Refuse images without exactly one label, too."""
        super().setup(stage)
        datamodule = getattr(self.trainer, "datamodule", None)
        if isinstance(datamodule, MultiLabelDataModule):
            check_one_label(datamodule)

    def configure_losses(self) -> None:
        """Make the loss of training, and that without label smoothing and weights."""
        _, label_smoothing, *_ = self._loss
        weight = read_weights("class_weight", self._weights["class_weight"], len(self.vocab))
        loss = nn.CrossEntropyLoss(weight=weight, label_smoothing=label_smoothing)  # takes targets (B, C) too
        self.training_criterion = keep_out_of_checkpoints(loss)
        self.plain_criterion = nn.CrossEntropyLoss()

    def on_head_taken(self, known: Sequence[bool]) -> None:
        """Let a new label be as likely as the others are on average, for standardised features of 0.

        What all logits have in common means nothing to a softmax, so that the bias of a head by itself may be anywhere.
        """
        old = torch.tensor(known)
        per_output = getattr(self.head, "per_output", ())
        biases = [self.head.get_parameter(name) for name in per_output if name.rpartition(".")[2] == "bias"]
        for bias in biases if old.any() else ():
            bias[~old] = bias[old].logsumexp(0) - math.log(int(old.sum()))

    def loss_weight(self, batch: TargetBatch) -> int | Tensor:
        """Return the number of images."""
        return len(batch.images)

    def new_thresholds(self) -> None:
        """Return None: the likeliest label is predicted."""

    def new_accuracies(self) -> dict[str, Metric]:
        """Return the accuracy of the likeliest label, and what it must beat to mean anything."""
        labels = len(self.vocab)
        return {"accuracy": OneLabelAccuracy(labels), "accuracy_most_common": MostCommonAccuracy(labels)}

    @staticmethod
    def activation(logits: Tensor) -> Tensor:
        """Return probabilities (B, C), which add up to 1 for each image."""
        return logits.softmax(1)

    def encode(self, predictions: Tensor) -> Tensor:
        """Return logits (B, C) for probabilities (B, C)."""
        return predictions.clamp(min=1e-30).log()

    def predicted(self, probabilities: Tensor) -> Tensor:
        """Return which label is the likeliest, (B, C) bool; several that are equally likely."""
        return probabilities == probabilities.amax(1, keepdim=True)
