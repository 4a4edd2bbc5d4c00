"""A trained model with its preprocessing: images in, probabilities or positions in their pixels out."""

import torch
from torch import Tensor, nn

from lightning_tasks.data.transforms.tensor_resize import Preprocess
from lightning_tasks.tasks import KeypointRegressor, MultiLabelClassifier
from lightning_tasks.tasks.keypoints.scores import original_points_px


class LabelNetwork(nn.Module):
    """Probabilities (B, C) for (B, H, W, 3) uint8 RGB.

    Args:
        model: the trained classifier, on the CPU.
        preprocess: what its images went through.
    """

    def __init__(self, model: MultiLabelClassifier, preprocess: Preprocess) -> None:
        super().__init__()
        self.preprocess = preprocess
        # Not the LightningModule itself: its metrics and trainer have no place in a program that is exported.
        self.backbone = model.backbone
        self.head = model.head
        self.temperature = model.temperature
        self.activation = model.activation

    def forward(self, images: Tensor) -> Tensor:
        """Return probabilities (B, C) for (B, H, W, 3) uint8 RGB."""
        return self.say(self.preprocess(images))

    def say(self, seen: Tensor) -> Tensor:
        """Return probabilities (B, C) for what `preprocess` returns."""
        logits: Tensor = self.head(self.backbone(seen))
        return self.activation(logits.float() / self.temperature)


class PointNetwork(nn.Module):
    """Positions (B, P, 2) for (B, H, W, 3) uint8 RGB, in their pixels; the centre of the top-left one is (0, 0).

    Args:
        model: the trained regressor, on the CPU.
        preprocess: what its images went through.
    """

    def __init__(self, model: KeypointRegressor, preprocess: Preprocess) -> None:
        super().__init__()
        self.preprocess = preprocess
        self.backbone = model.backbone
        self.head = model.head

    def forward(self, images: Tensor) -> Tensor:
        """Return x and y (B, P, 2) for (B, H, W, 3) uint8 RGB."""
        # Lengths as tensors: see `preprocess`.
        height, width = (torch.ones(length, device=images.device).sum() for length in images.shape[1:3])
        return original_points_px(
            self.say(self.preprocess(images)), self.preprocess.window.size, torch.stack([width, height])[None]
        )

    def say(self, seen: Tensor) -> Tensor:
        """Return points (B, P, 2) on the −1..1 scale for what `preprocess` returns."""
        return self.head.decode(self.head(self.backbone(seen)), (seen.shape[2], seen.shape[3]))
