"""Where are the picture's points?"""

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn

from lightning_tasks.batch import KeypointBatch
from lightning_tasks.errors import ConfigError
from lightning_tasks.evaluation.keypoints import PixelErrorQuantiles, masked_mse
from lightning_tasks.evaluation.mean import WeightedMean
from lightning_tasks.tasks.backbone import Backbone, fastai_head, sigmoid_range
from lightning_tasks.tasks.compatibility import refuse_other_checkpoint
from lightning_tasks.tasks.optimizer import LearningRate, adamw, can_fuse


class KeypointRegressor(LightningModule):
    """Regression of points on the −1..1 scale through a sigmoid's range, as in fastai's chapter 6.

    Logs `loss` (the masked mean squared error) and the error in the original picture's pixels: `median_px`, `p95_px`.

    Args:
        point_names: the P points, in the order of the batches.
        backbone: a timm model by its tagged name.
        pretrained: fetch the tag's weights.
        weights: a .safetensors or .pth file with the backbone's weights, in place of fetched ones.
        image_size: height and width of the pictures.
        y_range: predictions lie between these two.
        lr: the head's highest learning rate; `auto`: the callback LRFinder finds it.
        lr_mult: the head's rate over the early body's.
        weight_decay: of AdamW, for matrices.
        compile: let torch.compile make the backbone's kernels: slow to start, faster after.

    Raises:
        LightningTasksError: backbone, weights or sizes do not work.
    """

    def __init__(
        self,
        point_names: list[str],
        backbone: str = "resnet18.tv_in1k",
        pretrained: bool = False,
        weights: str | None = None,
        image_size: tuple[int, int] = (240, 320),
        y_range: tuple[float, float] = (-1.0, 1.0),
        lr: LearningRate = 1e-2,
        lr_mult: float = 10.0,
        weight_decay: float = 0.01,
        compile: bool = False,
    ) -> None:
        super().__init__()
        if not point_names:
            raise ConfigError(
                "KeypointRegressor needs a data module with points, such as KeypointDataModule or BiwiDataModule; this "
                "data has none."
            )
        # A checkpoint brings its own weights: where the first ones came from must not be fetched again. How fast it ran
        # says nothing of the machine that reads it.
        self.save_hyperparameters(ignore=["pretrained", "weights", "compile"])
        self.point_names = point_names
        self.y_range = y_range
        self.lr = lr
        self.lr_mult = lr_mult
        self.weight_decay = weight_decay
        self.backbone = Backbone(backbone, image_size, pretrained, weights)
        if compile:
            self.backbone.compile()  # in place: the weights' names stay
        self.head = fastai_head(self.backbone.num_features, 2 * len(point_names))
        self.train_loss = WeightedMean()
        self.losses = nn.ModuleDict({stage: WeightedMean() for stage in ("val", "test")})
        self.metrics = nn.ModuleDict({stage: PixelErrorQuantiles() for stage in ("val", "test")})

    def forward(self, images: Tensor) -> Tensor:
        """Return points (B, P, 2) on the −1..1 scale for (B, 3, H, W) RGB from 0 to 255."""
        logits = self.head(self.backbone(images)).float()
        return sigmoid_range(logits, *self.y_range).view(-1, len(self.point_names), 2)

    def _shared_step(self, batch: KeypointBatch) -> tuple[Tensor, Tensor]:
        """Return the loss and the points (B, P, 2), both in float32 under any precision."""
        points_norm = self(batch.images)
        return masked_mse(points_norm, batch.points_norm, batch.visible), points_norm

    def training_step(self, batch: KeypointBatch) -> Tensor:
        """Return the loss of a batch."""
        loss, _ = self._shared_step(batch)
        self.train_loss.update(loss, len(batch.images))
        self.log("train/loss_step", loss)
        self.log("train/loss_epoch", self.train_loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: KeypointBatch) -> Tensor:
        """Gather metrics; return points (B, P, 2) on the −1..1 scale."""
        return self._evaluate(batch, "val")

    def test_step(self, batch: KeypointBatch) -> None:
        """Gather metrics."""
        self._evaluate(batch, "test")

    def on_validation_epoch_end(self) -> None:
        """Log the pixel errors."""
        self._log_pixel_errors("val")

    def on_test_epoch_end(self) -> None:
        """Log the pixel errors."""
        self._log_pixel_errors("test")

    def predict_step(self, batch: KeypointBatch) -> Tensor:
        """Return points (B, P, 2) on the −1..1 scale."""
        return self._shared_step(batch)[1]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return fastai's AdamW over early body, late body and head."""
        return adamw(self.backbone, self.head, self.lr, self.lr_mult, self.weight_decay, can_fuse(self))

    def on_load_checkpoint(self, checkpoint: dict[str, object]) -> None:
        """Refuse a checkpoint of other points or of another backbone."""
        refuse_other_checkpoint(checkpoint, "point_names", self.point_names, self.hparams)

    def _evaluate(self, batch: KeypointBatch, stage: str) -> Tensor:
        loss, points_norm = self._shared_step(batch)
        mean_loss, errors = self._metrics(stage)
        # Weighted by the visible points, the mean over batches is the mean over the whole set.
        mean_loss.update(loss, batch.visible.sum())
        self.log(f"{stage}/loss", mean_loss, batch_size=len(batch.images))
        errors.update(points_norm, batch.points_norm, batch.visible, batch.original_size_px)
        return points_norm

    def _log_pixel_errors(self, stage: str) -> None:
        _, metric = self._metrics(stage)
        self.log_dict({f"{stage}/{name}": value for name, value in metric.compute().items()})
        metric.reset()

    def _metrics(self, stage: str) -> tuple[WeightedMean, PixelErrorQuantiles]:
        loss, errors = self.losses[stage], self.metrics[stage]
        assert isinstance(loss, WeightedMean)
        assert isinstance(errors, PixelErrorQuantiles)
        return loss, errors
