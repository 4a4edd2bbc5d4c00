"""Which labels does the image have? Any number of them."""

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torchmetrics import MetricCollection

from lightning_tasks.batch import MultiLabelBatch
from lightning_tasks.errors import ConfigError
from lightning_tasks.models.backbone import Backbone
from lightning_tasks.models.checkpoint_check import FromCheckpoint, refuse_other_checkpoint
from lightning_tasks.models.heads import fastai_head, linear_head
from lightning_tasks.models.optimizer import LearningRate, adamw, can_fuse
from lightning_tasks.models.weighted_mean import WeightedMean
from lightning_tasks.tasks.multilabel.attention import ClassAttentionHead, LastMap
from lightning_tasks.tasks.multilabel.losses import LossName, label_loss
from lightning_tasks.tasks.multilabel.metrics import (
    AllNegativeAccuracy,
    MacroAveragePrecision,
    MostCommonAccuracy,
    OneLabelAccuracy,
    ThresholdedAccuracy,
)


class MultiLabelClassifier(FromCheckpoint):
    """Binary cross-entropy over labels, as in fastai's chapter 6.

    Logs `loss`, `accuracy` (fastai's accuracy_multi), `mAP` (macro average precision) and `accuracy_all_negative`:
    what predicting nothing at all would score. Outside training, `loss` is the plain binary cross-entropy whatever the
    training minimises, so that runs compare.

    With `loss="cross_entropy"`, for data with exactly one label an image, probabilities are a softmax, `accuracy` is
    that of the likeliest label, and beside it stands `accuracy_most_common`: what the commonest label alone would
    score.

    Args:
        vocab: the labels, in the order of the targets' columns.
        backbone: a timm model by its tagged name, or `hf-hub:USER/NAME` or `local-dir:FOLDER`.
        pretrained: fetch the tag's weights.
        weights: a .safetensors or .pth file with the backbone's weights, in place of fetched ones.
        image_size: height and width of the images.
        head: `fastai`: two layers on pooled features; `linear`: one, on standardised features; `attention`: one at
            each place of the last map of features, with an attention of each label's own.
        threshold: a label counts as predicted where its probability is strictly greater; one for all, or one for each.
        temperature: outside training, logits are divided by it: a calibration.
        flip_tta: outside training, logits are the mean of the image's and the mirrored one's. Of this run alone: not
            kept in checkpoints (`predict --flip` is its like).
        lr: the head's highest learning rate; `auto`: the callback LRFinder finds it.
        lr_mult: the head's rate over the early body's.
        weight_decay: of AdamW, for matrices.
        loss: what training minimises; see `label_loss`, also for the next three.
        label_smoothing: moves each training target that share of the way to 0.5.
        asymmetric_gamma: focusing of the asymmetric loss, for absent and for present labels.
        asymmetric_clip: absent labels below this probability cost nothing in the asymmetric loss.
        compile: let torch.compile make the backbone's kernels: slow to start, faster after.
        architecture: what a checkpoint keeps of a backbone of the Hugging Face hub or a folder, to be loaded without;
            not to be set.

    Raises:
        LightningTasksError: backbone, weights or sizes do not work.
    """

    thresholds: Tensor  # (C,)

    def __init__(
        self,
        vocab: list[str],
        backbone: str = "resnet50.tv_in1k",
        pretrained: bool = False,
        weights: str | None = None,
        image_size: tuple[int, int] = (128, 128),
        head: Literal["fastai", "linear", "attention"] = "fastai",
        threshold: float | list[float] = 0.5,
        temperature: float = 1.0,
        flip_tta: bool = False,
        lr: LearningRate = 3e-3,
        lr_mult: float = 10.0,
        weight_decay: float = 0.01,
        loss: LossName = "bce",
        label_smoothing: float = 0.0,
        asymmetric_gamma: tuple[float, float] = (4.0, 1.0),
        asymmetric_clip: float = 0.05,
        compile: bool = False,
        architecture: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if not vocab:
            raise ConfigError(
                "MultiLabelClassifier needs a data module with labels, such as MultiLabelDataModule or "
                "PascalDataModule; this data has none."
            )
        if loss == "cross_entropy" and len(vocab) < 2:
            raise ConfigError(
                f"Cross-entropy tells labels apart; the data has {vocab[0]!r} alone. Use --model.loss bce."
            )
        if not temperature > 0:  # nor NaN
            raise ConfigError(f"model.temperature is {temperature}; it must be above 0.")
        # A checkpoint brings its own weights: where the first ones came from must not be fetched again. How fast it ran
        # says nothing of the machine that reads it.
        self.save_hyperparameters(ignore=["pretrained", "weights", "compile", "flip_tta", "architecture"])
        self.vocab = vocab
        self.one_label = loss == "cross_entropy"
        # Kept among the hyper-parameters, so that the command line can beat them: not in the weights.
        self.register_buffer("thresholds", _thresholds(threshold, len(vocab)), persistent=False)
        self.temperature = temperature
        self.flip_tta = flip_tta
        self.lr = lr
        self.lr_mult = lr_mult
        self.weight_decay = weight_decay
        self.backbone: Backbone
        self.head: nn.Module
        if head == "attention":
            last = LastMap(backbone, image_size, pretrained, weights, architecture)
            self.backbone, self.head = last, ClassAttentionHead(last.channels, len(vocab))
        else:
            self.backbone = Backbone(backbone, image_size, pretrained, weights, architecture)
            make = linear_head if head == "linear" else fastai_head
            self.head = make(self.backbone.num_features, len(vocab))
        if self.backbone.to_store is not None:
            self.hparams["architecture"] = self.backbone.to_store
        if compile:
            self.backbone.compile()  # in place: the weights' names stay
        self.training_loss = label_loss(loss, label_smoothing, asymmetric_gamma, asymmetric_clip)
        self.plain_loss = label_loss("cross_entropy" if self.one_label else "bce", 0.0, (0.0, 0.0), 0.0)
        self.train_loss = WeightedMean()
        self.losses = nn.ModuleDict({stage: WeightedMean() for stage in ("val", "test")})
        self.metrics = nn.ModuleDict({stage: self._new_metrics(stage) for stage in ("val", "test")})

    def setup(self, stage: str) -> None:
        """Refuse images without exactly one label where the loss needs it, and sizes that the body cannot take."""
        data = getattr(self.trainer, "datamodule", None)
        require = getattr(data, "require_one_label", None)
        if self.one_label and require is not None:
            require()
        start = getattr(data, "start_size", None)
        if stage == "fit" and start is not None:
            self.backbone.require_size((start, start))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, C) for (B, 3, H, W) RGB from 0 to 255."""
        logits: Tensor = self.head(self.backbone(images))
        return logits

    def _shared_step(self, batch: MultiLabelBatch) -> tuple[Tensor, Tensor]:
        """Return the loss and the probabilities (B, C), both in float32 under any precision."""
        images = batch.images
        logits = self(images).float() if self.training else self.uncalibrated(images) / self.temperature
        loss = (self.training_loss if self.training else self.plain_loss)(logits, batch.targets)
        return loss, probabilities_of(logits, self.one_label)

    def uncalibrated(self, images: Tensor) -> Tensor:
        """Return logits (B, C) float32 as outside training, not yet divided by the temperature."""
        logits: Tensor = self(images).float()
        return (logits + self(images.flip(3)).float()) / 2 if self.flip_tta else logits

    def training_step(self, batch: MultiLabelBatch) -> Tensor:
        """Return the loss of a batch."""
        loss, _ = self._shared_step(batch)
        self.train_loss.update(loss, len(batch.images))
        self.log("train/loss_step", loss)
        self.log("train/loss_epoch", self.train_loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: MultiLabelBatch) -> Tensor:
        """Gather metrics; return probabilities (B, C)."""
        return self._evaluate(batch, "val")

    def test_step(self, batch: MultiLabelBatch) -> Tensor:
        """Gather metrics; return probabilities (B, C)."""
        return self._evaluate(batch, "test")

    def predict_step(self, batch: MultiLabelBatch) -> Tensor:
        """Return probabilities (B, C)."""
        return self._shared_step(batch)[1]

    def predicted(self, probabilities: Tensor) -> Tensor:
        """Return which labels are predicted, (B, C) bool, from probabilities on any device."""
        if self.one_label:
            return probabilities == probabilities.amax(1, keepdim=True)
        return probabilities > self.thresholds.to(probabilities.device)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return fastai's AdamW over early body, late body and head."""
        return adamw(self.backbone, self.head, self.lr, self.lr_mult, self.weight_decay, can_fuse(self))

    def on_load_checkpoint(self, checkpoint: dict[str, object]) -> None:
        """Refuse a checkpoint of other labels, of another backbone or of another head."""
        refuse_other_checkpoint(checkpoint, "vocab", self.vocab, self.hparams)

    def _evaluate(self, batch: MultiLabelBatch, stage: str) -> Tensor:
        loss, probabilities = self._shared_step(batch)
        mean_loss, metrics = self._metrics(stage)
        # Weighted by what it is a mean over, the mean over batches is the mean over the whole set.
        mean_loss.update(loss, len(batch.images) if self.one_label else (batch.targets >= 0).sum())
        metrics.update(probabilities, batch.targets.int())
        self.log(f"{stage}/loss", mean_loss, batch_size=len(batch.images))
        self.log_dict(metrics, batch_size=len(batch.images))
        return probabilities

    def _metrics(self, stage: str) -> tuple[WeightedMean, MetricCollection]:
        loss, metrics = self.losses[stage], self.metrics[stage]
        assert isinstance(loss, WeightedMean)
        assert isinstance(metrics, MetricCollection)
        return loss, metrics

    def _new_metrics(self, stage: str) -> MetricCollection:
        labels = len(self.vocab)
        mean_ap = MacroAveragePrecision()
        if self.one_label:
            one = {"accuracy": OneLabelAccuracy(labels), "accuracy_most_common": MostCommonAccuracy(labels)}
            return MetricCollection({"mAP": mean_ap, **one}, prefix=f"{stage}/")
        many = {"accuracy": ThresholdedAccuracy(self.thresholds), "accuracy_all_negative": AllNegativeAccuracy()}
        return MetricCollection({"mAP": mean_ap, **many}, prefix=f"{stage}/")


def probabilities_of(logits: Tensor, one_label: bool) -> Tensor:
    """Return (B, C) probabilities: a softmax where an image has exactly one label, else each label's own."""
    return logits.softmax(1) if one_label else logits.sigmoid()


def _thresholds(threshold: float | list[float], labels: int) -> Tensor:
    given = threshold if isinstance(threshold, list) else [threshold] * labels
    if len(given) != labels:
        raise ConfigError(f"model.threshold has {len(given)} values for {labels} labels. Give one for each, or one.")
    if not all(0 <= value <= 1 for value in given):
        raise ConfigError(f"model.threshold is {threshold}; it is a probability, from 0 to 1.")
    return torch.tensor(given)
