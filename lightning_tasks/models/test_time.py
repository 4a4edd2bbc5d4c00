"""Test-time averaging: the one definition, for validation, predictions and whoever else averages views of an image."""

from collections.abc import Sequence

import torch
from torch import Tensor


def average_views(views: Sequence[Tensor]) -> Tensor:
    """Return the mean (B, ...) of what a model predicts for each of some views of B images.

    Args:
        views: each (B, ...), in the form that is told to the user: probabilities, not logits; points where they lie in
            the image that is not mirrored.
    """
    return torch.stack(list(views)).mean(0)
