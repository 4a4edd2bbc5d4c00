"""What is minimised when numbers are learnt."""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Loss = Literal["mse", "huber", "l1"]

_LOSSES: dict[Loss, Callable[..., Tensor]] = {"mse": F.mse_loss, "huber": F.huber_loss, "l1": F.l1_loss}


def masked_loss(kind: Loss, predicted: Tensor, targets: Tensor) -> Tensor:
    """Return the mean loss over the known targets; 0 where there are none.

    Args:
        kind: `mse`, `huber` (squared below one standard deviation, linear above), `l1`.
        predicted: (B, T) standardised.
        targets: (B, T) standardised, NaN where unknown.

    Raises:
        ValueError: the shapes differ. (B,) against (B, 1) would broadcast to nonsense in silence.
    """
    losses = element_losses(kind, predicted, targets)
    return losses.nansum() / (~targets.isnan()).sum().clamp(min=1)


def element_losses(kind: Loss, predicted: Tensor, targets: Tensor) -> Tensor:
    """Return each number's loss (B, T); NaN, without a gradient, where it is unknown. See `masked_loss`."""
    if predicted.shape != targets.shape:
        raise ValueError(f"predictions {tuple(predicted.shape)} and targets {tuple(targets.shape)} differ in shape")
    known = ~targets.isnan()
    # What is unknown must not reach the loss: a gradient of NaN times 0 is NaN.
    losses = _LOSSES[kind](predicted, torch.where(known, targets, predicted.detach()), reduction="none")
    return torch.where(known, losses, torch.nan)
