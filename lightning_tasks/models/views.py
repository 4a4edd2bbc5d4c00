"""Test-time averaging: one image seen more than once."""

from collections.abc import Sequence

import torch
from torch import Tensor


def mean_of_views(views: Sequence[Tensor]) -> Tensor:
    """Return the mean of what a model predicts for several views of the same images: mirrored, or of other scales.

    The one definition, for validation, `predict` and exports.

    Args:
        views: V ≥ 1 predictions of one shape: probabilities (B, C), points (B, P, 2), ..., of mirrored images already
            put back.
    """
    return views[0] if len(views) == 1 else torch.stack(list(views)).mean(0)
