"""Training losses for labels, from timm and torch; cells of target −1 do not count."""

from collections.abc import Sequence
from typing import Literal

import torch
from timm.loss.asymmetric_loss import AsymmetricLossMultiLabel
from timm.loss.binary_cross_entropy import BinaryCrossEntropy
from torch import Tensor, nn

from lightning_tasks.errors import ConfigError

LossName = Literal["bce", "asymmetric"]


def label_loss(
    name: LossName,
    label_smoothing: float,
    asymmetric_gamma: tuple[float, float],
    asymmetric_clip: float,
    pos_weight: Tensor | None = None,
    weight: Tensor | None = None,
) -> nn.Module:
    """Return a module that takes logits (B, C) and targets (B, C), from 0 to 1 or −1 (ignored), to a loss.

    Args:
        name: `bce`, the mean over all cells; or `asymmetric`, the sum over labels and mean over images of Ridnik et
            al., "Asymmetric Loss for Multi-Label Classification", 2021.
        label_smoothing: from 0 to below 1, moves each target that share of the way to 0.5.
        asymmetric_gamma: the focusing powers for absent and for present labels.
        asymmetric_clip: probabilities of absent labels below this cost nothing.
        pos_weight: (C,) what a present label weighs against an absent one; None: as much.
        weight: (C,) what each label's cells weigh; None: all alike.

    Raises:
        ConfigError: a value is out of its range.
    """
    check_label_smoothing(label_smoothing)
    if min(asymmetric_gamma) < 0 or not 0 <= asymmetric_clip < 1:
        raise ConfigError(
            f"model.asymmetric_gamma {asymmetric_gamma} must not be negative, and model.asymmetric_clip "
            f"{asymmetric_clip} is a probability, from 0 to below 1."
        )
    if name == "bce":
        bce = BinaryCrossEntropy(
            smoothing=label_smoothing, smooth_dense=True, reduction="none", weight=weight, pos_weight=pos_weight
        )
        return _CountedCells(bce, over_images=False)
    negative, positive = asymmetric_gamma
    asymmetric = AsymmetricLossMultiLabel(
        gamma_neg=negative,
        gamma_pos=positive,
        clip=asymmetric_clip,
        smoothing=label_smoothing,
        reduction="none",
        weight=weight,
        pos_weight=pos_weight,
    )
    return _CountedCells(asymmetric, over_images=True)


def check_label_smoothing(label_smoothing: float) -> float:
    """Return a share of the way that training targets are moved; ConfigError: it is out of its range."""
    if not 0 <= label_smoothing < 1:
        raise ConfigError(f"model.label_smoothing is {label_smoothing}; it is a share, from 0 to below 1.")
    return label_smoothing


def set_weights(loss: nn.Module, name: str, weights: Sequence[float]) -> None:
    """Set a loss's `pos_weight` or `weight` (C,) in place: callbacks may have counted its tensors already."""
    for tensor_name, tensor in loss.named_buffers():
        if tensor_name.rpartition(".")[2] == name:
            tensor.copy_(torch.tensor(weights))


def keep_out_of_checkpoints(loss: nn.Module) -> nn.Module:
    """Return the loss, whose weights are then no weights of the network: they are among the hyper-parameters."""
    for module in loss.modules():
        for name, tensor in list(module.named_buffers(recurse=False)):
            module.register_buffer(name, tensor, persistent=False)
    return loss


class _CountedCells(nn.Module):
    """The mean over the cells that count, or their sum over the images."""

    def __init__(self, each_cell: nn.Module, *, over_images: bool) -> None:
        super().__init__()
        self.each_cell = each_cell
        self.over_images = over_images

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        counts = targets >= 0
        total = (self.each_cell(logits, targets.clamp(min=0)) * counts).sum()
        mean: Tensor = total / (len(targets) if self.over_images else counts.sum().clamp(min=1))
        return mean
