"""Which labels does the image have? Any number of them."""

from argparse import ArgumentError
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from lightning_tasks.batch import TargetBatch
from lightning_tasks.errors import CheckpointError, ConfigError, what_is_wrong
from lightning_tasks.models.backbone import Backbone
from lightning_tasks.models.base import BackboneSource, ImageModel
from lightning_tasks.models.heads import fastai_head, linear_head
from lightning_tasks.models.optimizer import LearningRate
from lightning_tasks.tasks.multilabel.attention import ClassAttentionHead, LastMap
from lightning_tasks.tasks.multilabel.label_weights import (
    Given,
    Weighting,
    WeightsOf,
    class_weights,
    positive_weights,
    read_weights,
    settle_weights,
)
from lightning_tasks.tasks.multilabel.losses import LossName, keep_out_of_checkpoints, label_loss, set_weights
from lightning_tasks.tasks.multilabel.scores import AllNegativeAccuracy, MacroAveragePrecision, ThresholdedAccuracy


class MultiLabelClassifier(ImageModel):
    """Binary cross-entropy over labels, as in fastai's chapter 6.

    Logs `loss`, `accuracy` (fastai's accuracy_multi), `mAP` (macro average precision) and `accuracy_all_negative`:
    what predicting nothing at all would score. Outside training, `loss` is the plain binary cross-entropy whatever the
    training minimises, so that runs compare.

    Args:
        vocab: the labels, in the order of the targets' columns.
        backbone: a timm model by its tagged name, or `hf-hub:USER/NAME` or `local-dir:FOLDER`.
        image_size: height and width of the images.
        head: `fastai`: two layers on pooled features; `linear`: one, on standardised features; `attention`: one at
            each place of the last map of features, with an attention of each label's own.
        threshold: a label counts as predicted where its probability is strictly greater; one for all, or one for each.
        temperature: outside training, logits are divided by it: a calibration.
        lr: the head's highest learning rate; `auto`: the callback LRFinder finds it.
        loss: what training minimises; see `label_loss`, also for the next three.
        label_smoothing: moves each training target that share of the way to 0.5.
        asymmetric_gamma: focusing of the asymmetric loss, for absent and for present labels.
        asymmetric_clip: absent labels below this probability cost nothing in the asymmetric loss.
        pos_weight: what a present label weighs against an absent one in training: one number for all labels, or one for
            each; `balanced`: the training split's absent over its present ones; `sqrt`: the square root of it.
        class_weight: what each label's cells weigh in training; `balanced`: one over its share of the training split;
            `sqrt`: the square root of it; None: all alike.
        **kwargs: see `ImageModel`.

    Raises:
        LightningTasksError: backbone, weights or sizes do not work.
    """

    monitor = "val/mAP"
    mode = "max"
    names_key = "vocab"
    names_noun = "labels"
    settings_before: ClassVar[dict[str, Any]] = {"head": "fastai"}
    is_exclusive: ClassVar[bool] = False  # each image has exactly one of the labels
    # Options whose words are balanced: by what, and the name of the loss's own argument.
    weights_of: ClassVar[dict[str, tuple[WeightsOf, str]]] = {
        "pos_weight": (positive_weights, "pos_weight"),
        "class_weight": (class_weights, "weight"),
    }

    thresholds: Tensor | None  # (C,); None: there are none

    def __init__(
        self,
        vocab: list[str],
        backbone: str = "resnet50.tv_in1k",
        image_size: tuple[int, int] = (128, 128),
        head: Literal["fastai", "linear", "attention"] = "fastai",
        threshold: float | list[float] = 0.5,
        temperature: float = 1.0,
        lr: LearningRate = 3e-3,
        loss: LossName = "bce",
        label_smoothing: float = 0.0,
        asymmetric_gamma: tuple[float, float] = (4.0, 1.0),
        asymmetric_clip: float = 0.05,
        pos_weight: float | list[float] | Weighting = 1.0,
        class_weight: list[float] | Weighting | None = None,
        **kwargs: Any,  # noqa: ANN401 - of the parent, which the parser resolves
    ) -> None:
        if not vocab:
            raise ConfigError(
                f"{type(self).__name__} needs a data module with labels, such as MultiLabelDataModule or "
                "PascalDataModule; this data has none."
            )
        if loss == "cross_entropy":  # type: ignore[comparison-overlap]  # of an older version
            raise ConfigError(
                "MultiLabelClassifier has no loss cross_entropy: for exactly one label an image take "
                "MultiClassClassifier."
            )
        if not temperature > 0:  # nor NaN
            raise ConfigError(f"model.temperature is {temperature}; it must be above 0.")
        self.vocab = vocab
        self.temperature = temperature
        self.head_name = head
        self._threshold = threshold
        self._loss = (loss, label_smoothing, asymmetric_gamma, asymmetric_clip)
        self._weights: dict[str, Given] = {"pos_weight": pos_weight, "class_weight": class_weight}
        super().__init__(backbone=backbone, image_size=image_size, lr=lr, **kwargs)

    @classmethod
    def load_from_checkpoint(cls, *args: Any, **kwargs: Any) -> Self:  # noqa: ANN401 - Lightning's own
        """Do as `ImageModel`; name the class to take for a checkpoint of an older version with loss cross_entropy."""
        try:
            return super().load_from_checkpoint(*args, **kwargs)
        except ArgumentError as error:
            raise CheckpointError(
                f"The checkpoint's settings are not those of a {cls.__name__}. Of exactly one label an image (loss "
                f"cross_entropy), take MultiClassClassifier. {what_is_wrong(error)}"
            ) from error

    @property
    def why_no_probe(self) -> str | None:
        """That attention takes maps of features, not one row for each image."""
        if self.head_name != "attention":
            return None
        return (
            "the head `attention` takes whole maps of features, which are not kept. Take --model.head linear, or `fit`."
        )

    def configure_models(self, source: BackboneSource) -> None:
        """Make the backbone and the head that was chosen."""
        if self.head_name == "attention":
            last = LastMap(**source)
            self.backbone, self.head = last, ClassAttentionHead(last.channels, len(self.vocab))
            return
        self.backbone = Backbone(**source)
        make_head = linear_head if self.head_name == "linear" else fastai_head
        self.head = make_head(self.backbone.num_features, len(self.vocab))

    def configure_losses(self) -> None:
        """Make the loss of training, and the plain one."""
        weights = [read_weights(option, given, len(self.vocab)) for option, given in self._weights.items()]
        self.training_criterion = keep_out_of_checkpoints(label_loss(*self._loss, *weights))
        self.plain_criterion = label_loss("bce", 0.0, (0.0, 0.0), 0.0)

    def setup(self, stage: str) -> None:
        """Balance the labels by the training split, too, where that is asked for."""
        super().setup(stage)
        words = {option: given for option, given in self._weights.items() if isinstance(given, str)}
        if stage != "fit" or not words:
            return
        count = getattr(getattr(self.trainer, "datamodule", None), "label_counts", None)
        if count is None:
            raise ConfigError(
                f"model.{' and model.'.join(words)}: labels are balanced by the training split of a "
                "MultiLabelDataModule, and there is none. Give numbers, one for each label."
            )
        counts = count()
        for option, word in words.items():
            weights_of, name = self.weights_of[option]
            weights, told = settle_weights(option, word, weights_of, counts, self.vocab)
            set_weights(self.training_criterion, name, weights)
            self.hparams[option] = weights  # a checkpoint needs no data to be loaded
            self.trainer.print(told)

    def configure_metrics(self, stages: tuple[str, ...]) -> None:
        """Make the metrics, the thresholds before them."""
        # Kept among the hyper-parameters, so that the command line can beat them: not in the weights.
        self.register_buffer("thresholds", self.new_thresholds(), persistent=False)
        for stage in stages:
            scores: dict[str, Metric | MetricCollection] = {"mAP": MacroAveragePrecision(), **self.new_accuracies()}
            self.metrics[stage] = MetricCollection(scores, prefix=f"{stage}/")

    def new_thresholds(self) -> Tensor | None:
        """Return the labels' thresholds (C,), or None for predictions without."""
        return torch.tensor(self._limits())

    def _limits(self) -> list[float]:
        threshold, labels = self._threshold, len(self.vocab)
        given = threshold if isinstance(threshold, list) else [threshold] * labels
        if len(given) != labels:
            raise ConfigError(
                f"model.threshold has {len(given)} values for {labels} labels. Give one for each, or one."
            )
        if not all(0 <= value <= 1 for value in given):
            raise ConfigError(f"model.threshold is {threshold}; it is a probability, from 0 to 1.")
        return given

    def new_accuracies(self) -> dict[str, Metric]:
        """Return the accuracy, and what it must beat to mean anything."""
        assert self.thresholds is not None
        return {"accuracy": ThresholdedAccuracy(self.thresholds), "accuracy_all_negative": AllNegativeAccuracy()}

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, C) for (B, 3, H, W) RGB from 0 to 255."""
        logits: Tensor = self.head(self.backbone(images))
        return logits

    def training_loss(self, outputs: Tensor, batch: TargetBatch) -> Tensor:
        """Return the loss that was chosen, of logits (B, C)."""
        loss: Tensor = self.training_criterion(outputs, batch.targets)
        return loss

    def evaluation_loss(self, outputs: Tensor, batch: TargetBatch) -> Tensor:
        """Return the plain loss of logits (B, C)."""
        loss: Tensor = self.plain_criterion(outputs, batch.targets)
        return loss

    def loss_weight(self, batch: TargetBatch) -> int | Tensor:
        """Return the number of cells that count."""
        return (batch.targets >= 0).sum()

    def log_metrics(self, stage: str, predictions: Tensor, batch: TargetBatch) -> None:
        """Gather and log the metrics of probabilities (B, C)."""
        metrics = self.metrics[stage]
        assert isinstance(metrics, MetricCollection)
        metrics.update(predictions, batch.targets.int())
        self.log_dict(metrics, batch_size=len(batch.images))

    def calibrate(self, outputs: Tensor) -> Tensor:
        """Return logits (B, C) divided by the temperature."""
        return outputs / self.temperature

    @staticmethod
    def activation(logits: Tensor) -> Tensor:
        """Return probabilities (B, C), each label's own."""
        return logits.sigmoid()

    def decode(self, outputs: Tensor) -> Tensor:
        """Return probabilities (B, C) for logits (B, C)."""
        return self.activation(outputs)

    def encode(self, predictions: Tensor) -> Tensor:
        """Return logits (B, C) for probabilities (B, C)."""
        return predictions.logit(1e-7)  # a probability as near to 0 or 1 has a logit in float32

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of probabilities of another kind, too: its weights would fit."""
        super().on_load_checkpoint(checkpoint)
        stored = checkpoint.get("hyper_parameters", {}).get("loss")
        if (stored == "cross_entropy") != self.is_exclusive:
            raise CheckpointError(
                f"The checkpoint's loss is {stored or 'bce'}, which is not {type(self).__name__}'s: take the other of "
                "MultiClassClassifier (cross_entropy: exactly one label an image) and MultiLabelClassifier."
            )

    def head_difference(self, settings: Mapping[str, Any]) -> str | None:
        """Tell probabilities of another kind apart, too: logits of a softmax say nothing one by one."""
        if (settings.get("loss") == "cross_entropy") != self.is_exclusive:
            return f"its images have {'any number of labels' if self.is_exclusive else 'exactly one label'}"
        return super().head_difference(settings)

    def uncalibrated(self, images: Tensor) -> Tensor:
        """Return logits (B, C) float32 as outside training, not yet divided by the temperature."""
        logits: Tensor = self._predict(images)[0] * self.temperature if self.flip_tta else self(images).float()
        return logits

    def predicted(self, probabilities: Tensor) -> Tensor:
        """Return which labels are predicted, (B, C) bool, from probabilities on any device."""
        thresholds = self.thresholds
        assert thresholds is not None
        if thresholds.device != probabilities.device:  # made, not copied: a process that draws reaches no GPU
            thresholds = torch.tensor(self._limits(), device=probabilities.device)
        return probabilities > thresholds
