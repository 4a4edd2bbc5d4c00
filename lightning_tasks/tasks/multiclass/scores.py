"""What a set of predictions of exactly one label an image is worth."""

from torch import Tensor


def class_losses(probabilities: Tensor, targets: Tensor) -> Tensor:
    """Return each image's cross-entropy (N,), minus the logarithm of its label's probability: at most 100.

    Args:
        probabilities: (N, C) float32.
        targets: (N, C), one 1 in each row.
    """
    return -((probabilities * (targets == 1)).sum(1).log().clamp(min=-100))
