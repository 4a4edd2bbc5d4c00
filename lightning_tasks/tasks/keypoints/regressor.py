"""Where are the image's points?"""

import warnings
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torchmetrics import SumMetric

from lightning_tasks.batch import KeypointBatch
from lightning_tasks.errors import ConfigError, LightningTasksWarning
from lightning_tasks.models.backbone import Backbone
from lightning_tasks.models.checkpoint_check import FromCheckpoint, composed, refuse_other_checkpoint
from lightning_tasks.models.heads import fastai_head, sigmoid_range
from lightning_tasks.models.optimizer import LearningRate, adamw, can_fuse
from lightning_tasks.models.weighted_mean import WeightedMean
from lightning_tasks.tasks.keypoints.flip_points import mirrored_order, unmirrored
from lightning_tasks.tasks.keypoints.heatmap import FeatureMaps, HeatmapHead, masked_cell_loss, soft_argmax
from lightning_tasks.tasks.keypoints.scores import NormalisedMeanError, PixelErrorQuantiles, masked_mse


class KeypointRegressor(FromCheckpoint):
    """Points on the −1..1 scale: regressed through a sigmoid's range, as in fastai's chapter 6, or read off heatmaps.

    Logs `loss` (the masked mean squared error; a heatmap trains by `masked_cell_loss`, which is `train/loss`) and the
    error in the original image's pixels: `median_px`, `p95_px`; and `nme`, see `normalize_by`.

    Args:
        point_names: the P points, in the order of the batches.
        backbone: a timm model by its tagged name, or `hf-hub:USER/NAME` or `local-dir:FOLDER`.
        pretrained: fetch the tag's weights.
        weights: a .safetensors or .pth file with the backbone's weights, in place of fetched ones.
        image_size: height and width of the images.
        head: `regression`: fastai's, of pooled features; `heatmap`: a map for each point, of features at strides of 8
            pixels and more, and the map's centre. Its backbone ends there: it is smaller.
        max_stride: the heatmap's coarsest features: with 32 it sees most of the image, with 8 it is fastest.
        y_range: regressed points lie between these two.
        normalize_by: two of the points, such as the outer corners of the eyes: `nme` is the mean error as a share of
            their distance.
        lr: the head's highest learning rate; `auto`: the callback LRFinder finds it.
        lr_mult: the head's rate over the early body's.
        weight_decay: of AdamW, for matrices.
        flip_tta: outside training, points are the mean of the image's and the mirrored one's. Of this run alone: not
            kept in the checkpoint.
        compile: let torch.compile make the backbone's kernels: slow to start, faster after.
        architecture: what a checkpoint keeps of a backbone of the Hugging Face hub or a folder, to be loaded without;
            not to be set.

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
        head: Literal["regression", "heatmap"] = "regression",
        max_stride: Literal[8, 16, 32] = 16,
        y_range: tuple[float, float] = (-1.0, 1.0),
        normalize_by: tuple[str, str] | None = None,
        lr: LearningRate = 1e-2,
        lr_mult: float = 10.0,
        weight_decay: float = 0.01,
        flip_tta: bool = False,
        compile: bool = False,
        architecture: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if not point_names:
            raise ConfigError(
                "KeypointRegressor needs a data module with points, such as KeypointDataModule or BiwiDataModule; this "
                "data has none."
            )
        # A checkpoint brings its own weights: where the first ones came from must not be fetched again. How fast it ran
        # says nothing of the machine that reads it.
        self.save_hyperparameters(ignore=["pretrained", "weights", "compile", "flip_tta", "architecture"])
        self.point_names = point_names
        self.heatmap = head == "heatmap"
        self.y_range = y_range
        self.lr = lr
        self.lr_mult = lr_mult
        self.weight_decay = weight_decay
        self.flip_tta = flip_tta
        self.mirrored = mirrored_order(point_names, None)
        self.backbone: Backbone
        self.head: nn.Module
        if self.heatmap:
            maps = FeatureMaps(backbone, image_size, pretrained, weights, max_stride, architecture)
            self.backbone, self.head = maps, HeatmapHead(maps.channels, len(point_names))
        else:
            self.backbone = Backbone(backbone, image_size, pretrained, weights, architecture)
            self.head = fastai_head(self.backbone.num_features, 2 * len(point_names))
        if self.backbone.to_store is not None:
            self.hparams["architecture"] = self.backbone.to_store
        if compile:
            self.backbone.compile()  # in place: the weights' names stay
        self.train_loss = WeightedMean()
        # Of points that an epoch's images showed; a look for NaN would make a GPU wait at each step.
        self.train_points = SumMetric(nan_strategy="disable")
        self.losses = nn.ModuleDict({stage: WeightedMean() for stage in ("val", "test")})
        self.metrics = nn.ModuleDict({stage: PixelErrorQuantiles() for stage in ("val", "test")})
        between = None if normalize_by is None else _positions(normalize_by, point_names)
        self.nme = nn.ModuleDict({} if between is None else {s: NormalisedMeanError(*between) for s in ("val", "test")})

    def setup(self, stage: str) -> None:
        """Learn from the data which points change places in a mirrored image.

        Raises:
            ConfigError: flip_tta with several points, and the data does not say.
        """
        if not self.flip_tta:
            return
        pairs = getattr(getattr(self.trainer, "datamodule", None), "swap_pairs", None)
        self.mirrored = mirrored_order(self.point_names, pairs)
        if self.mirrored is None:
            raise ConfigError(
                "model.flip_tta: a mirrored image has left and right points in each other's place, and the data does "
                "not say which. Name them in data.swap_pairs, or leave model.flip_tta out."
            )

    def forward(self, images: Tensor) -> Tensor:
        """Return points (B, P, 2) on the −1..1 scale for (B, 3, H, W) RGB from 0 to 255."""
        return points_of(self.head(self.backbone(images)), self.y_range, images)

    def _shared_step(self, batch: KeypointBatch) -> tuple[Tensor, Tensor]:
        """Return the loss and the points (B, P, 2), both in float32 under any precision."""
        points_norm = self(batch.images)
        if self.flip_tta and not self.training:
            assert self.mirrored is not None  # see setup
            mirrored = self(batch.images.flip(3))
            points_norm = (points_norm + unmirrored(mirrored, self.mirrored, batch.images.shape[3])) / 2
        if self.heatmap:
            size = (batch.images.shape[2], batch.images.shape[3])
            return masked_cell_loss(points_norm, batch.points_norm, batch.visible, size), points_norm
        return masked_mse(points_norm, batch.points_norm, batch.visible), points_norm

    def training_step(self, batch: KeypointBatch) -> Tensor:
        """Return the loss of a batch."""
        loss, _ = self._shared_step(batch)
        self.train_loss.update(loss, len(batch.images))
        self.train_points.update(batch.visible.sum())
        self.log("train/loss_step", loss)
        self.log("train/loss_epoch", self.train_loss, on_step=False, on_epoch=True)
        return loss

    def on_train_epoch_end(self) -> None:
        """Warn where the loss was 0 since there was no point to learn from: crops of one's own may hide them all."""
        shown = self.train_points.compute()
        self.train_points.reset()
        if not shown and self.global_rank == 0:
            warnings.warn(
                f"No image of epoch {self.current_epoch} showed an annotated point after augmentation: the loss was 0, "
                "and nothing was learnt. Look at show_batch; weaken the transform.",
                LightningTasksWarning,
                stacklevel=2,
            )

    def validation_step(self, batch: KeypointBatch) -> Tensor:
        """Gather metrics; return points (B, P, 2) on the −1..1 scale."""
        return self._evaluate(batch, "val")

    def test_step(self, batch: KeypointBatch) -> Tensor:
        """Gather metrics; return points (B, P, 2) on the −1..1 scale."""
        return self._evaluate(batch, "test")

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
        """Refuse a checkpoint of other points, of another backbone or of another head."""
        refuse_other_checkpoint(checkpoint, "point_names", self.point_names, self.hparams)

    def _evaluate(self, batch: KeypointBatch, stage: str) -> Tensor:
        _, points_norm = self._shared_step(batch)
        loss = masked_mse(points_norm, batch.points_norm, batch.visible)  # of one meaning for both heads
        mean_loss, errors = self._metrics(stage)
        # Weighted by the visible points, the mean over batches is the mean over the whole set.
        mean_loss.update(loss, batch.visible.sum())
        self.log(f"{stage}/loss", mean_loss, batch_size=len(batch.images))
        errors.update(points_norm, batch.points_norm, batch.visible, batch.original_size_px)
        if stage in self.nme:
            nme = self.nme[stage]
            assert isinstance(nme, NormalisedMeanError)
            nme.update(points_norm, batch.points_norm, batch.visible, batch.original_size_px)
            self.log(f"{stage}/nme", nme, batch_size=len(batch.images))
        return points_norm

    def _log_pixel_errors(self, stage: str) -> None:
        _, metric = self._metrics(stage)
        scores = {f"{stage}/{name}": value for name, value in metric.compute().items()}
        self.log_dict(scores, sync_dist=True)  # they are those of all processes already; Lightning warns otherwise
        metric.reset()

    def _metrics(self, stage: str) -> tuple[WeightedMean, PixelErrorQuantiles]:
        loss, errors = self.losses[stage], self.metrics[stage]
        assert isinstance(loss, WeightedMean)
        assert isinstance(errors, PixelErrorQuantiles)
        return loss, errors


def _positions(names: tuple[str, str], point_names: list[str]) -> tuple[int, int]:
    known = composed(point_names)
    for name in composed(names):
        if name not in known:
            raise ConfigError(f"model.normalize_by names the point {name!r}; the data has {', '.join(point_names)}.")
    first, second = composed(names)
    return known.index(first), known.index(second)


def points_of(logits: Tensor, y_range: tuple[float, float], images: Tensor) -> Tensor:
    """Return points (B, P, 2) on the −1..1 scale, in float32, for a head's output.

    Args:
        logits: (B, 2·P), squeezed into `y_range`; or heatmaps (B, P, h, w).
        y_range: predictions lie between these two.
        images: (B, 3, H, W), what the backbone saw.
    """
    if logits.ndim == 4:
        return soft_argmax(logits, (images.shape[2], images.shape[3]))
    return torch.unflatten(sigmoid_range(logits.float(), *y_range), 1, (-1, 2))
