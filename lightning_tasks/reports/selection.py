"""Which images of a split are shown, and what is shown of them."""

from pathlib import Path
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from lightning_tasks.errors import ConfigError


class Results(NamedTuple):
    """A figure, and what it shows of which files."""

    figure: Figure
    paths: tuple[Path, ...]
    losses: tuple[float, ...]


def choose_rows(losses: Tensor, n: int, worst: bool) -> Tensor:
    """Return which of N images to show, at most n: those with the highest losses (N,), or evenly spaced ones.

    NaN, an image without anything to be wrong about, is never among the worst.

    Raises:
        ConfigError: there is nothing else.
    """
    if not worst:
        return torch.linspace(0, len(losses) - 1, min(n, len(losses))).round().long()
    annotated = int((~losses.isnan()).sum())
    if not annotated:
        raise ConfigError("No image of the split is annotated, so none is worst. Leave out --worst.")
    return losses.nan_to_num(-torch.inf).argsort(descending=True, stable=True)[: min(n, annotated)]
