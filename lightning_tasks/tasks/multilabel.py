"""Which labels does the picture have? Any number of them."""

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torchmetrics import MetricCollection
from torchmetrics.classification import MultilabelAccuracy

from lightning_tasks.batch import MultiLabelBatch
from lightning_tasks.errors import ConfigError
from lightning_tasks.evaluation.mean import WeightedMean
from lightning_tasks.evaluation.multilabel import AllNegativeAccuracy, MacroAveragePrecision
from lightning_tasks.tasks.backbone import Backbone, LearningRate, adamw, fastai_head
from lightning_tasks.tasks.compatibility import refuse_other_checkpoint
from lightning_tasks.tasks.losses import LossName, multilabel_loss


class MultiLabelClassifier(LightningModule):
    """Binary cross-entropy over labels, as in fastai's chapter 6.

    Logs `loss`, `accuracy` (fastai's accuracy_multi), `mAP` (macro average precision) and `accuracy_all_negative`:
    what predicting nothing at all would score. Outside training, `loss` is the plain binary cross-entropy whatever the
    training minimises, so that runs compare.

    Args:
        vocab: the labels, in the order of the targets' columns.
        backbone: a timm model by its tagged name.
        pretrained: fetch the tag's weights.
        weights: a .safetensors or .pth file with the backbone's weights, in place of fetched ones.
        image_size: height and width of the pictures.
        threshold: a label counts as predicted where its probability is strictly greater.
        lr: the head's highest learning rate; `auto`: the callback LRFinder finds it.
        lr_mult: the head's rate over the early body's.
        weight_decay: of AdamW, for matrices.
        loss: what training minimises; see `multilabel_loss`, also for the next three.
        label_smoothing: moves each training target that share of the way to 0.5.
        asymmetric_gamma: focusing of the asymmetric loss, for absent and for present labels.
        asymmetric_clip: absent labels below this probability cost nothing in the asymmetric loss.

    Raises:
        LightningTasksError: backbone, weights or sizes do not work.
    """

    def __init__(
        self,
        vocab: list[str],
        backbone: str = "resnet50.tv_in1k",
        pretrained: bool = False,
        weights: str | None = None,
        image_size: tuple[int, int] = (128, 128),
        threshold: float = 0.5,
        lr: LearningRate = 3e-3,
        lr_mult: float = 10.0,
        weight_decay: float = 0.01,
        loss: LossName = "bce",
        label_smoothing: float = 0.0,
        asymmetric_gamma: tuple[float, float] = (4.0, 1.0),
        asymmetric_clip: float = 0.05,
    ) -> None:
        super().__init__()
        if not vocab:
            raise ConfigError(
                "MultiLabelClassifier needs a data module with labels, such as MultiLabelDataModule or "
                "PascalDataModule; this data has none."
            )
        if not 0 <= threshold <= 1:
            raise ConfigError(f"model.threshold is {threshold}; it is a probability, from 0 to 1.")
        # A checkpoint brings its own weights: where the first ones came from must not be fetched again.
        self.save_hyperparameters(ignore=["pretrained", "weights"])
        self.vocab = vocab
        self.threshold = threshold
        self.lr = lr
        self.lr_mult = lr_mult
        self.weight_decay = weight_decay
        self.backbone = Backbone(backbone, image_size, pretrained, weights)
        self.head = fastai_head(self.backbone.num_features, len(vocab))
        self.training_loss = multilabel_loss(loss, label_smoothing, asymmetric_gamma, asymmetric_clip)
        self.train_loss = WeightedMean()
        self.losses = nn.ModuleDict({stage: WeightedMean() for stage in ("val", "test")})
        self.metrics = nn.ModuleDict({stage: _metrics(len(vocab), threshold, stage) for stage in ("val", "test")})

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, C) for (B, 3, H, W) RGB from 0 to 255."""
        logits: Tensor = self.head(self.backbone(images))
        return logits

    def _shared_step(self, batch: MultiLabelBatch) -> tuple[Tensor, Tensor]:
        """Return the loss and the probabilities (B, C), both in float32 under any precision."""
        logits = self(batch.images).float()
        criterion = self.training_loss if self.training else binary_cross_entropy_with_logits
        return criterion(logits, batch.targets), logits.sigmoid()

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

    def test_step(self, batch: MultiLabelBatch) -> None:
        """Gather metrics."""
        self._evaluate(batch, "test")

    def predict_step(self, batch: MultiLabelBatch) -> Tensor:
        """Return probabilities (B, C)."""
        return self._shared_step(batch)[1]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return fastai's AdamW over early body, late body and head."""
        return adamw(self.backbone, self.head, self.lr, self.lr_mult, self.weight_decay)

    def on_load_checkpoint(self, checkpoint: dict[str, object]) -> None:
        """Refuse a checkpoint of other labels or of another backbone."""
        refuse_other_checkpoint(checkpoint, "vocab", self.vocab, self.hparams)

    def _evaluate(self, batch: MultiLabelBatch, stage: str) -> Tensor:
        loss, probabilities = self._shared_step(batch)
        mean_loss, metrics = self._metrics(stage)
        mean_loss.update(loss, len(batch.images))
        metrics.update(probabilities, batch.targets.int())
        self.log(f"{stage}/loss", mean_loss, batch_size=len(batch.images))
        self.log_dict(metrics, batch_size=len(batch.images))
        return probabilities

    def _metrics(self, stage: str) -> tuple[WeightedMean, MetricCollection]:
        loss, metrics = self.losses[stage], self.metrics[stage]
        assert isinstance(loss, WeightedMean)
        assert isinstance(metrics, MetricCollection)
        return loss, metrics


def _metrics(num_labels: int, threshold: float, stage: str) -> MetricCollection:
    return MetricCollection(
        {
            "accuracy": MultilabelAccuracy(num_labels, threshold=threshold, average="micro"),
            "mAP": MacroAveragePrecision(num_labels),
            "accuracy_all_negative": AllNegativeAccuracy(),
        },
        prefix=f"{stage}/",
    )
