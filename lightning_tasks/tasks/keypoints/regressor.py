"""Where are the image's points?"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torchmetrics import SumMetric

from lightning_tasks.errors import ConfigError, LightningTasksWarning
from lightning_tasks.models.backbone import Backbone
from lightning_tasks.models.base import BackboneSource, ImageModel
from lightning_tasks.models.names import composed
from lightning_tasks.models.optimizer import LearningRate
from lightning_tasks.models.start import difference
from lightning_tasks.tasks.keypoints.dataset import KeypointBatch
from lightning_tasks.tasks.keypoints.heads import FeatureMaps, HeatmapHead, RegressionHead
from lightning_tasks.tasks.keypoints.scores import NormalisedMeanError, PixelErrorQuantiles, masked_mse


class KeypointRegressor(ImageModel):
    """Points on the −1..1 scale: regressed through a sigmoid's range, as in fastai's chapter 6, or read off heatmaps.

    Logs `loss` (the masked mean squared error; a heatmap trains by `masked_cell_loss`, which is `train/loss`) and the
    error in the original image's pixels: `median_px`, `p95_px`; and `nme`, see `normalize_by`.

    Args:
        point_names: the P points, in the order of the batches.
        backbone: a timm model by its tagged name, or `hf-hub:USER/NAME` or `local-dir:FOLDER`.
        image_size: height and width of the images.
        head: `regression`: fastai's, of pooled features; `heatmap`: a map for each point, of features at strides of 8
            pixels and more, and the map's centre. Its backbone ends there: it is smaller.
        max_stride: the heatmap's coarsest features: with 32 it sees most of the image, with 8 it is fastest.
        y_range: regressed points lie between these two.
        normalize_by: two of the points, such as the outer corners of the eyes: `nme` is the mean error as a share of
            their distance.
        lr: the head's highest learning rate; `auto`: the callback LRFinder finds it.
        **kwargs: see `ImageModel`.

    Raises:
        LightningTasksError: backbone, weights or sizes do not work.
    """

    monitor = "val/median_px"
    mode = "min"
    names_key = "point_names"
    names_noun = "points"
    settings_before: ClassVar[dict[str, Any]] = {"head": "regression", "max_stride": 16}

    head: RegressionHead | HeatmapHead

    def __init__(
        self,
        point_names: list[str],
        backbone: str = "resnet18.tv_in1k",
        image_size: tuple[int, int] = (240, 320),
        head: Literal["regression", "heatmap"] = "regression",
        max_stride: Literal[8, 16, 32] = 16,
        y_range: tuple[float, float] = (-1.0, 1.0),
        normalize_by: tuple[str, str] | None = None,
        lr: LearningRate = 1e-2,
        **kwargs: Any,  # noqa: ANN401 - of the parent, which the parser resolves
    ) -> None:
        if not point_names:
            raise ConfigError(
                "KeypointRegressor needs a data module with points, such as KeypointDataModule or BiwiDataModule; this "
                "data has none."
            )
        self.point_names = point_names
        self.head_name = head
        self.max_stride = max_stride
        self.y_range = y_range
        self.mirrored = mirrored_order(point_names, None)
        self._between = None if normalize_by is None else _positions(normalize_by, point_names)
        super().__init__(backbone=backbone, image_size=image_size, lr=lr, **kwargs)

    @property
    def why_no_probe(self) -> str | None:
        """That points do not stay where they are."""
        return "points move with every view of an image, and want features of their places. Points need `fit`."

    def configure_models(self, source: BackboneSource) -> None:
        """Make the backbone and the head that was chosen."""
        points = len(self.point_names)
        if self.head_name == "heatmap":
            maps = FeatureMaps(**source, max_stride=self.max_stride)
            self.backbone, self.head = maps, HeatmapHead(maps.channels, points)
        else:
            self.backbone = Backbone(**source)
            self.head = RegressionHead(self.backbone.num_features, points, self.y_range)

    def head_difference(self, settings: Mapping[str, Any]) -> str | None:
        """Tell regressed points of another range apart, too, and a heatmap of other features."""
        setting = "max_stride" if self.head_name == "heatmap" else "y_range"
        return super().head_difference(settings) or difference(self, setting, settings)

    def configure_metrics(self, stages: tuple[str, ...]) -> None:
        """Make the errors in pixels, and those as a share where they are wanted."""
        # Of points that an epoch's images showed; a look for NaN would make a GPU wait at each step.
        self.train_points = SumMetric(nan_strategy="disable")
        self.nme = nn.ModuleDict()
        for stage in stages:
            self.metrics[stage] = PixelErrorQuantiles()
            if self._between is not None:
                self.nme[stage] = NormalisedMeanError(*self._between)

    def setup(self, stage: str) -> None:
        """Learn from the data which points change places in a mirrored image.

        Raises:
            ConfigError: flip_tta with several points, and the data does not say.
        """
        super().setup(stage)
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
        return self.head.decode(self.head(self.backbone(images)), images.shape[2:])

    def unmirror(self, predictions: Tensor, width_px: int) -> Tensor:
        """Return points (B, P, 2) of images for those of the mirrored images, both on the −1..1 scale."""
        return unmirrored(predictions, self.mirrored, width_px)

    def training_loss(self, outputs: Tensor, batch: KeypointBatch) -> Tensor:
        """Return the head's own loss of points (B, P, 2)."""
        return self.head.loss(outputs, batch.points_norm, batch.visible, batch.images.shape[2:])

    def evaluation_loss(self, outputs: Tensor, batch: KeypointBatch) -> Tensor:
        """Return the masked mean squared error of points (B, P, 2), for both heads."""
        return masked_mse(outputs, batch.points_norm, batch.visible)

    def loss_weight(self, batch: KeypointBatch) -> Tensor:
        """Return the number of visible points."""
        return batch.visible.sum()

    def training_step(self, batch: KeypointBatch) -> Tensor:
        """Return the loss of a batch."""
        self.train_points.update(batch.visible.sum())
        return super().training_step(batch)

    def on_train_epoch_end(self) -> None:
        """Warn where the loss was 0 since there was no point to learn from: crops of one's own may hide them all."""
        num_visible = self.train_points.compute()
        self.train_points.reset()
        if not num_visible and self.global_rank == 0:
            warnings.warn(
                f"No image of epoch {self.current_epoch} showed an annotated point after augmentation: the loss was 0, "
                "and nothing was learnt. Look at show_batch; weaken the transform.",
                LightningTasksWarning,
                stacklevel=2,
            )

    def on_validation_epoch_end(self) -> None:
        """Log the pixel errors."""
        self._log_pixel_errors("val")

    def on_test_epoch_end(self) -> None:
        """Log the pixel errors."""
        self._log_pixel_errors("test")

    def log_metrics(self, stage: str, predictions: Tensor, batch: KeypointBatch) -> None:
        """Gather the pixel errors of points (B, P, 2), which are logged at the epoch's end; log the shares."""
        metric: Any
        for metric in (metrics[stage] for metrics in (self.metrics, self.nme) if stage in metrics):
            metric.update(predictions, batch.points_norm, batch.visible, batch.original_size_px)
        if stage in self.nme:
            self.log(f"{stage}/nme", metric, batch_size=len(batch.images))

    def _log_pixel_errors(self, stage: str) -> None:
        metric: Any = self.metrics[stage]
        scores = {f"{stage}/{name}": value for name, value in metric.compute().items()}
        self.log_dict(scores, sync_dist=True)  # they are those of all processes already; Lightning warns otherwise
        metric.reset()


def mirrored_order(names: Sequence[str], swap_pairs: Sequence[Sequence[str]] | None) -> tuple[int, ...] | None:
    """Return which point each becomes in a mirrored image, by the pairs that change places; None: it is not known."""
    if not swap_pairs:
        return (0,) if len(names) == 1 else None
    other = {a: b for pair in swap_pairs for a, b in (pair, pair[::-1])}
    return tuple(names.index(other.get(name, name)) for name in names)


def unmirrored(points_norm: Tensor, order: Sequence[int] | None, width_px: int) -> Tensor:
    """Return the points (B, P, 2) of images for those of the mirrored ones, on the −1..1 scale; see `mirrored_order`.

    In images `width_px` wide the last pixel's centre becomes the first's, which is position −1.
    """
    assert order is not None  # who asks has refused what is not known
    x = -points_norm[..., 0] - 2 / width_px
    return torch.stack([x, points_norm[..., 1]], -1)[:, list(order)]


def _positions(names: tuple[str, str], point_names: list[str]) -> tuple[int, int]:
    known, (first, second) = composed(point_names), composed(names)
    for name in (first, second):
        if name not in known:
            raise ConfigError(f"model.normalize_by names the point {name!r}; the data has {', '.join(point_names)}.")
    return known.index(first), known.index(second)
