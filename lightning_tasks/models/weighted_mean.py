"""A mean over batches of different sizes."""

import torch
from torch import Tensor
from torchmetrics import Metric


class WeightedMean(Metric):
    """The weighted mean of what it is given, over batches and processes.

    torchmetrics' MeanMetric either asks at each update whether a value is NaN, for which a GPU must be waited for, or
    (`nan_strategy="disable"`, 1.9) drops the weights. Lightning's own mean over processes divides by a rounded weight.
    """

    higher_is_better = False
    full_state_update = False
    total: Tensor
    weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", default=torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("weight", default=torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, value: Tensor, weight: int | Tensor) -> None:
        """Add the mean of `weight` samples, which may be none."""
        total = value.detach() * weight
        if isinstance(weight, Tensor):  # a number must not go to a GPU, which would be waited for
            total = torch.where(weight > 0, total, 0.0)  # a mean over no samples may be NaN, and NaN times 0 is
        self.total += total
        self.weight += weight

    def compute(self) -> Tensor:
        """Return the mean; NaN where there was nothing."""
        return self.total / self.weight
