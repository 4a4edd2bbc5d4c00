"""Weights of labels in the loss of training: given, or balanced by how often the training split has each."""

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from timm.loss.class_weights import compute_class_weights
from torch import Tensor

from lightning_tasks.errors import ConfigError

Weighting = Literal["balanced", "sqrt"]
Given = float | list[float] | Weighting | None
_POWERS = {"balanced": 1.0, "sqrt": 0.5}
_MOST = 100.0  # more, of a label of one image in many, would be a step of its own
_LISTED = 4


class LabelCounts(NamedTuple):
    """How often C labels occur in a training split."""

    positives: NDArray[np.int64]  # (C,) images that have the label
    known: NDArray[np.int64]  # (C,) images of which it is known whether they have it

    @property
    def shares(self) -> NDArray[np.float64]:
        """The share of the images that have each label (C,), of those of which it is known."""
        return self.positives / np.maximum(self.known, 1)


WeightsOf = Callable[[LabelCounts, Weighting], Tensor]


def count_labels(targets: NDArray[np.float32]) -> LabelCounts:
    """Return the counts of targets (N, C) of 1, 0 and −1 (not known)."""
    return LabelCounts((targets == 1).sum(0), (targets >= 0).sum(0))


def positive_weights(counts: LabelCounts, weighting: Weighting) -> Tensor:
    """Return what a present label weighs against an absent one (C,): absent over present, or the square root of it."""
    return _timm_weights(counts, "neg_pos", weighting).clamp(1 / _MOST, _MOST)


def class_weights(counts: LabelCounts, weighting: Weighting) -> Tensor:
    """Return what each label's cells weigh (C,), 1 in the mean: one over its share, or the square root of it."""
    return _timm_weights(counts, "inv_freq", weighting)


def exclusive_weights(counts: LabelCounts, weighting: Weighting) -> Tensor:
    """Return what images of each label weigh (C,), of exactly one label each: as `class_weights`, 1 in their mean."""
    weights = class_weights(counts, weighting)
    return (weights / (weights * torch.from_numpy(counts.shares)).sum()).float().clamp(max=_MOST)


def _timm_weights(counts: LabelCounts, method: str, weighting: Weighting) -> Tensor:
    images = max(1, int(counts.known.max()))  # of all labels: where some are not known, the shares count
    _, weights = compute_class_weights(torch.from_numpy(counts.shares * images), images, method, _POWERS[weighting])
    return weights


def read_weights(option: str, given: Given, n_labels: int) -> Tensor | None:
    """Return what a loss takes (C,): None where nothing is weighted, NaN until `settle_weights` knows what a word says.

    Raises:
        ConfigError: there are not C of them, or one is not above 0, or the word is unknown.
    """
    if given is None or given == 1:
        return None
    if isinstance(given, str):
        if given not in _POWERS:
            words = ", ".join(_POWERS)
            raise ConfigError(f"model.{option} is {given!r}; it is one of {words}, or a number for each label.")
        return torch.full((n_labels,), math.nan)
    values = given if isinstance(given, list) else [given] * n_labels
    if len(values) != n_labels:
        raise ConfigError(f"model.{option} has {len(values)} values for {n_labels} labels. Give one for each.")
    for value in values:
        if not 0 < value < math.inf:  # nor NaN
            raise ConfigError(f"model.{option} has {value:g}; a weight must be above 0, and 1 changes nothing.")
    return torch.tensor(values, dtype=torch.float32)


def settle_weights(
    option: str, word: Weighting, weights_of: WeightsOf, counts: LabelCounts, vocab: Sequence[str]
) -> tuple[list[float], str]:
    """Return the weights that a word stands for (C), rounded to what is kept of them, and a line for a person."""
    weights = [float(f"{weight:.4g}") for weight in weights_of(counts, word).tolist()]
    pairs = list(zip(weights, vocab, strict=True))
    least, most = (f"{weight:g} ({label})" for weight, label in (min(pairs), max(pairs)))
    told = f"{option} {word}: {least} to {most}"
    missing = [repr(label) for label, n in zip(vocab, counts.positives, strict=True) if n == 0]
    if missing:
        names = ", ".join(missing[:_LISTED]) + (", ..." if len(missing) > _LISTED else "")
        told += f"; no training image has {names}, weighted as if one had"
    return weights, told
