"""Heads that say where points are: by regression from pooled features, or as the centres of heatmaps."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_tasks.errors import BackboneError
from lightning_tasks.models.backbone import Backbone
from lightning_tasks.models.heads import FeatureHead, fastai_head, sigmoid_range
from lightning_tasks.tasks.keypoints.scores import masked_mse

STRIDE = 8  # pixels of the image in a cell of a heatmap, on each side


class RegressionHead(FeatureHead):
    """fastai's head of pooled features, whose logits are squeezed into the range of positions."""

    def __init__(self, in_features: int, points: int, y_range: tuple[float, float]) -> None:
        super().__init__(*fastai_head(in_features, 2 * points))
        self.y_range = y_range

    def decode(self, logits: Tensor, image_size: Sequence[int]) -> Tensor:
        """Return points (B, P, 2) on the −1..1 scale, float32, for logits (B, 2·P) of images of any size."""
        return torch.unflatten(sigmoid_range(logits.float(), *self.y_range), 1, (-1, 2))

    def loss(self, points_norm: Tensor, target_norm: Tensor, visible: Tensor, image_size: Sequence[int]) -> Tensor:
        """Return what training minimises; see `masked_mse`."""
        return masked_mse(points_norm, target_norm, visible)


class FeatureMaps(Backbone):
    """Images to maps of features at strides of 8 pixels and more by any timm model that has them.

    The layers behind the last map, which are most of them, are left out. `max_stride` is the coarsest map's: 8, 16 or
    32 pixels; `channels` are of each map, the finest first. BackboneError: also where no map has a stride of 8; for the
    rest see `Backbone`.
    """

    def __init__(
        self,
        name: str,
        image_size: tuple[int, int],
        max_stride: int = 16,
        **kwargs: Any,  # noqa: ANN401 - the parent's
    ) -> None:
        def leave_out(body: nn.Module) -> None:
            body.prune_intermediate_layers(_indices(body, name, max_stride))  # type: ignore[operator]  # taken for a tensor

        super().__init__(name, image_size, leave_out=leave_out, **kwargs)
        self.indices = _indices(self.body, name, max_stride)
        maps: Any = self.body.feature_info
        self.channels = [int(maps[index]["num_chs"]) for index in self.indices]

    def forward(self, images: Tensor) -> list[Tensor]:  # type: ignore[override]  # maps in place of one vector
        """Return maps (B, C, h, w), the finest first, for (B, 3, H, W) RGB from 0 to 255."""
        found: list[Tensor] = self.body.forward_intermediates(  # type: ignore[operator]  # taken for a tensor
            self._normalise(images), indices=self.indices, stop_early=True, intermediates_only=True
        )
        return found


def has_fine_maps(body: nn.Module) -> bool:
    """Return whether heatmaps can be made of a body's features: those at a stride of 8 pixels, and no layers behind."""
    maps: Any = getattr(body, "feature_info", [])
    return hasattr(body, "prune_intermediate_layers") and any(info["reduction"] == STRIDE for info in maps)


def _indices(body: nn.Module, name: str, max_stride: int) -> list[int]:
    """Return which of the body's maps have the strides, the finest first."""
    maps: Any = getattr(body, "feature_info", [])
    # Of several at one stride, the last has seen the most.
    last = {info["reduction"]: index for index, info in enumerate(maps) if STRIDE <= info["reduction"] <= max_stride}
    if not has_fine_maps(body):
        strides = sorted({info["reduction"] for info in maps})
        raise BackboneError(
            f"A heatmap needs features at a stride of {STRIDE} pixels; {name!r} has "
            f"{', '.join(map(str, strides)) or 'none'}. Choose a convolutional backbone, such as resnet18.tv_in1k, "
            "or --model.head regression."
        )
    return [last[stride] for stride in sorted(last)]


def soft_argmax(logits: Tensor, image_size: Sequence[int]) -> Tensor:
    """Return the mean position (B, P, 2) under the softmax of each map (B, P, h, w), on the −1..1 scale, in float32.

    Source: Sun et al., "Integral Human Pose Regression", 2018.
    """
    shares = logits.float().flatten(2).softmax(2).view(logits.shape)
    positions = []
    for along, length_px in ((shares.sum(2), image_size[1]), (shares.sum(3), image_size[0])):
        # A cell's centre lies between its pixels' centres, and the first pixel's centre is position 0.
        centres_px = torch.arange(along.shape[2], device=along.device) * STRIDE + (STRIDE - 1) / 2
        positions.append((along * (2 / length_px * centres_px - 1)).sum(2))
    return torch.stack(positions, -1)


def masked_cell_loss(points_norm: Tensor, target_norm: Tensor, visible: Tensor, image_size: Sequence[int]) -> Tensor:
    """Return the smooth L1 distance in cells, x's and y's together, over the visible points; 0 where there are none.

    Squared below a cell and linear above it: a point that is far off, or badly annotated, does not outweigh the rest.
    Shapes: see `masked_mse`.
    """
    cells = points_norm.new_tensor([image_size[1], image_size[0]]) / (2 * STRIDE)
    distances = F.smooth_l1_loss(points_norm * cells, target_norm * cells, reduction="none").sum(-1)
    return (distances * visible).sum() / visible.sum().clamp(min=1)


class HeatmapHead(nn.Module):
    """Maps of features to a heatmap of logits for each point, at the finest map's size.

    Each map goes through a 1×1 convolution, and the coarser are enlarged and added to the finer.

    Source: the lateral connections of Lin et al., "Feature Pyramid Networks for Object Detection", 2017.
    """

    per_output = ("maps.weight", "maps.bias")
    decode = staticmethod(soft_argmax)
    loss = staticmethod(masked_cell_loss)

    def __init__(self, channels: Sequence[int], points: int, width: int = 64) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(_layer(in_channels, width, 1) for in_channels in channels)
        self.mix = _layer(width, width, 3)
        self.maps = nn.Conv2d(width, points, 1)
        self.to(memory_format=torch.channels_last)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return logits (B, P, h, w) for maps (B, C, h, w), the finest first."""
        *finer, mixed = [lateral(maps) for lateral, maps in zip(self.laterals, features, strict=True)]
        for maps in reversed(finer):
            mixed = maps + F.interpolate(mixed, maps.shape[-2:], mode="bilinear")
        logits: Tensor = self.maps(self.mix(mixed))
        return logits


def _layer(in_channels: int, out_channels: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )
