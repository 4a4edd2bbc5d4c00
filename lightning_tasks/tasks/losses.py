"""Training losses for any number of labels, from timm."""

from typing import Literal

from timm.loss.asymmetric_loss import AsymmetricLossMultiLabel
from timm.loss.binary_cross_entropy import BinaryCrossEntropy
from torch import nn

from lightning_tasks.errors import ConfigError

LossName = Literal["bce", "asymmetric"]


def multilabel_loss(
    name: LossName, label_smoothing: float, asymmetric_gamma: tuple[float, float], asymmetric_clip: float
) -> nn.Module:
    """Return a module that takes logits (B, C) and targets (B, C) from 0 to 1 to a loss.

    Args:
        name: `bce`, the mean over all cells; or `asymmetric`, the sum over labels and mean over pictures of Ridnik et
            al., "Asymmetric Loss for Multi-Label Classification", 2021.
        label_smoothing: from 0 to below 1, moves each target that share of the way to 0.5.
        asymmetric_gamma: the focusing powers for absent and for present labels.
        asymmetric_clip: probabilities of absent labels below this cost nothing.

    Raises:
        ConfigError: a value is out of its range.
    """
    if not 0 <= label_smoothing < 1:
        raise ConfigError(f"model.label_smoothing is {label_smoothing}; it is a share, from 0 to below 1.")
    if min(asymmetric_gamma) < 0 or not 0 <= asymmetric_clip < 1:
        raise ConfigError(
            f"model.asymmetric_gamma {asymmetric_gamma} must not be negative, and model.asymmetric_clip "
            f"{asymmetric_clip} is a probability, from 0 to below 1."
        )
    if name == "bce":
        return BinaryCrossEntropy(smoothing=label_smoothing, smooth_dense=True)
    negative, positive = asymmetric_gamma
    return AsymmetricLossMultiLabel(
        gamma_neg=negative, gamma_pos=positive, clip=asymmetric_clip, smoothing=label_smoothing
    )
