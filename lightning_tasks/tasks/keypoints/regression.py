"""Points by regression: from pooled features to positions at once."""

import torch
from torch import Tensor, nn

from lightning_tasks.models.heads import fastai_head, sigmoid_range
from lightning_tasks.tasks.keypoints.scores import masked_mse


class RegressionHead(nn.Sequential):
    """fastai's head, whose logits are squeezed into a range.

    Args:
        in_features: of the pooled features.
        points: how many points.
        y_range: positions lie between these two.
    """

    def __init__(self, in_features: int, points: int, y_range: tuple[float, float]) -> None:
        super().__init__(*fastai_head(in_features, 2 * points))
        self.y_range = y_range

    def decode(self, logits: Tensor, image_size: tuple[int, int]) -> Tensor:
        """Return points (B, P, 2) on the −1..1 scale, float32, for logits (B, 2·P) of images of any size."""
        return torch.unflatten(sigmoid_range(logits.float(), *self.y_range), 1, (-1, 2))

    def loss(self, points_norm: Tensor, target_norm: Tensor, visible: Tensor, image_size: tuple[int, int]) -> Tensor:
        """Return what training minimises; see `masked_mse`."""
        return masked_mse(points_norm, target_norm, visible)
