"""From pooled features to numbers."""

import torch
from torch import Tensor, nn

from lightning_tasks.models.heads import fastai_head, sigmoid_range
from lightning_tasks.tasks.values.statistics import Statistics


class ValueHead(nn.Module):
    """fastai's head for numbers that are standardised by the training split, which it remembers.

    Args:
        in_features: of the pooled features.
        targets: T, how many numbers.
        y_range: predictions lie between these two, in the targets' own unit; None: anywhere.
    """

    mean: Tensor  # (T,) float32
    std: Tensor  # (T,) float32
    median: Tensor  # (T,) float32

    def __init__(self, in_features: int, targets: int, y_range: tuple[float, float] | None) -> None:
        super().__init__()
        self.layers = fastai_head(in_features, targets)
        self.y_range = y_range
        for name, value in (("mean", 0.0), ("std", 1.0), ("median", 0.0)):
            self.register_buffer(name, torch.full((targets,), value))

    def set_statistics(self, statistics: Statistics) -> None:
        """Take the statistics of the training split."""
        for name, values in statistics._asdict().items():
            getattr(self, name).copy_(torch.from_numpy(values))

    def forward(self, features: Tensor) -> Tensor:
        """Return standardised numbers (B, T) float32 for features (B, F)."""
        outputs: Tensor = self.layers(features).float()
        if self.y_range is None:
            return outputs
        return self.standardise(sigmoid_range(outputs, *self.y_range))

    def standardise(self, values: Tensor) -> Tensor:
        """Return numbers (B, T) in standard deviations from the mean."""
        return (values - self.mean) / self.std

    def decode(self, outputs: Tensor) -> Tensor:
        """Return numbers (B, T) in their own units for standardised ones."""
        return outputs * self.std + self.mean
