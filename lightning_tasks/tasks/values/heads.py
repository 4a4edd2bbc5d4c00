"""From pooled features to numbers."""

from typing import Any

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

    Attributes:
        is_learnt: of which targets it has learnt something, in standard deviations of the statistics that it has.
    """

    mean: Tensor  # (T,) float32
    std: Tensor  # (T,) float32
    median: Tensor  # (T,) float32
    offset: Tensor  # (T,) float32, in standard deviations; see `set_statistics`

    def __init__(self, in_features: int, targets: int, y_range: tuple[float, float] | None) -> None:
        super().__init__()
        self.layers = fastai_head(in_features, targets)
        self.y_range = y_range
        for name, value in (("mean", 0.0), ("std", 1.0), ("median", 0.0), ("offset", 0.0)):
            self.register_buffer(name, torch.full((targets,), value))
        self.is_learnt = [False] * targets

    @property
    def per_output(self) -> tuple[str, ...]:
        """Names of the tensors whose rows are targets'; see `models/head_rows.py`."""
        return (*(f"layers.{name}" for name in self.layers.per_output), "mean", "std", "median", "offset")

    @torch.no_grad()
    def set_statistics(self, statistics: Statistics) -> None:
        """Take the statistics of the training split.

        Of targets that are learnt already, rows and offsets change such that predictions in their own units stay as
        they are.
        """
        mean, std = self.mean.cpu().double(), self.std.cpu().double()
        for name, values in statistics._asdict().items():
            getattr(self, name).copy_(torch.from_numpy(values))
        if self.y_range is None:  # else the outputs are in the targets' units before they are standardised
            new_mean, new_std = self.mean.cpu().double(), self.std.cpu().double()
            learnt = torch.tensor(self.is_learnt)
            scale = torch.where(learnt, std / new_std, 1.0).to(self.offset)
            shift = torch.where(learnt, (mean - new_mean) / new_std, 0.0).to(self.offset)
            for rows in map(self.layers.get_parameter, self.layers.per_output):
                rows.mul_(scale.view(-1, *[1] * (rows.ndim - 1)))
            self.offset.mul_(scale).add_(shift)
        self.is_learnt = [True] * len(self.offset)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *more: Any) -> None:  # noqa: ANN401 - torch's
        """Do as torch's; checkpoints of an older version have no offsets."""
        state_dict.setdefault(f"{prefix}offset", torch.zeros_like(self.offset))
        super()._load_from_state_dict(state_dict, prefix, *more)
        self.is_learnt = [True] * len(self.offset)

    def forward(self, features: Tensor) -> Tensor:
        """Return standardised numbers (B, T) float32 for features (B, F)."""
        outputs: Tensor = self.layers(features).float()
        if self.y_range is None:
            return outputs + self.offset
        return self.standardise(sigmoid_range(outputs, *self.y_range))

    def standardise(self, values: Tensor) -> Tensor:
        """Return numbers (B, T) in standard deviations from the mean."""
        return (values - self.mean) / self.std

    def decode(self, outputs: Tensor) -> Tensor:
        """Return numbers (B, T) in their own units for standardised ones."""
        return outputs * self.std + self.mean
