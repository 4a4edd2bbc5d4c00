"""Which images are to be labelled next? Those that a model is unsure of, and of these the most different ones."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_tasks.data.images.decode import Size
from lightning_tasks.deploy.prediction_table import Row
from lightning_tasks.deploy.predictor import Predictor
from lightning_tasks.devices import is_out_of_memory
from lightning_tasks.errors import ConfigError
from lightning_tasks.tasks.prediction import Prediction

Rank = Literal["uncertain", "diverse"]
Inputs = Sequence[Sequence[Tensor]]  # of each image, at each scale (3, h, w): see `Predictor.preprocess`

_ZOOM, _STRIDE = 1.25, 32
_KEPT = 64  # numbers of an image's features: a random projection keeps distances, and a million images take 256 MB
_CANDIDATES = 10  # images from which a diverse one is chosen, the most uncertain ones
_MOST_DIVERSE = 1000  # are chosen where nobody says how many: each takes a look at all candidates


class Ranker:
    """Predicts as a Predictor does, and keeps of each image what it is ranked by.

    Args:
        predictor: for one thread.
        rank: `uncertain`; or `diverse`, see `order`.

    Raises:
        ConfigError: the model shows its uncertainty in other views of an image alone, and can have none.
    """

    def __init__(self, predictor: Predictor, rank: Rank) -> None:
        self.predictor = predictor
        self.rank = rank
        self._uncertainties: list[Tensor] = []
        self._features: list[Tensor] = []
        self._projection = torch.empty(0)
        self._views = _views_of(predictor) if predictor.output_format.views_tell_uncertainty else []

    def predict(self, inputs: Inputs, sizes: Sequence[Size]) -> list[Prediction]:
        """Do as `Predictor.predict`, and keep what these images are ranked by."""
        seen: list[Tensor] = []
        output_format = self.predictor.output_format
        # Of an ensemble, its first member's.
        hook = self.predictor.module.backbone.register_forward_hook(lambda _, given, found: seen.append(_pool(found)))
        try:
            outputs = self.predictor.outputs(inputs)
        finally:
            hook.remove()
        views = [outputs, *(view(inputs) for view in self._views)]
        self._uncertainties.append(output_format.uncertainty(views).float())
        if self.rank == "diverse":
            self._features.append(self._project(seen[0]))
        return output_format.decode(outputs, sizes)

    def order(self, n: int, top: int | None) -> list[int]:
        """Return the positions of the first n images that were predicted, those to be labelled first at the front.

        `uncertain`: by uncertainty. `diverse`: of the ten times as many most uncertain ones, the most uncertain one,
        and then each time that which is least like all before it (k-center greedy); where `top` does not say how many,
        a thousand of all, and behind them the others by uncertainty.

        Source: Sener, Savarese, "Active Learning for Convolutional Neural Networks: A Core-Set Approach", 2018.
        """
        by_uncertainty = self.uncertainties[:n].argsort(descending=True, stable=True)
        if self.rank == "uncertain" or not len(by_uncertainty):
            return by_uncertainty[:top].tolist()
        candidates = by_uncertainty if top is None else by_uncertainty[: _CANDIDATES * top]
        chosen = candidates[k_center(torch.cat(self._features)[candidates], top or _MOST_DIVERSE)].tolist()
        if top is None:
            first = set(chosen)
            chosen += [position for position in by_uncertainty.tolist() if position not in first]
        return chosen

    @property
    def uncertainties(self) -> Tensor:
        """How unsure the model is of the images predicted so far (n,)."""
        return torch.cat(self._uncertainties) if self._uncertainties else torch.empty(0)

    def ranked(self, rows: Sequence[Row], top: int | None) -> list[Row]:
        """Return the first of the rows that were predicted, by their ranks; behind them those that cannot be read."""
        read = [row for row in rows if row.prediction is not None]  # after Ctrl-C one batch less than was predicted
        uncertainties = self.uncertainties.tolist()
        first = [
            read[position]._replace(rank=rank, uncertainty=uncertainties[position])
            for rank, position in enumerate(self.order(len(read), top), 1)
        ]
        return [*first, *(row for row in rows if row.prediction is None)]

    def _project(self, features: Tensor) -> Tensor:
        """Return features (B, F) as directions, in at most _KEPT numbers each, on the CPU."""
        directions = F.normalize(features.float().cpu())
        if directions.shape[1] <= _KEPT:
            return directions
        if not len(self._projection):
            generator = torch.Generator().manual_seed(0)
            self._projection = torch.randn(directions.shape[1], _KEPT, generator=generator) / _KEPT**0.5
        return directions @ self._projection


def k_center(features: Tensor, n: int) -> Tensor:
    """Return which n of the features (N, F) to take, at most: the first, then each time what is furthest from all.

    Of those that are equally far, the one that stands before the others.
    """
    chosen = [0]
    distances = torch.cdist(features[:1], features)[0]
    while len(chosen) < min(n, len(features)):
        distances[chosen[-1]] = -1  # also where others are the same
        chosen.append(int(distances.argmax()))
        distances = torch.minimum(distances, torch.cdist(features[chosen[-1:]], features)[0])
    return torch.tensor(chosen)


def _pool(features: Tensor | Sequence[Tensor]) -> Tensor:
    """Return a vector for each image (B, F) of what a backbone returns: it, or maps (B, F, h, w), of these the last."""
    last = features if isinstance(features, Tensor) else features[-1]
    return last if last.ndim == 2 else last.flatten(2).mean(2)


def _views_of(predictor: Predictor) -> list[Callable[[Inputs], Tensor]]:
    """Return what predicts other views of images: enlarged where that can be, and mirrored where it can be put back.

    Raises:
        ConfigError: neither can be.
    """
    output_format = predictor.output_format
    views: list[Callable[[Inputs], Tensor]] = []
    try:
        predictor.outputs(_enlarge([predictor.preprocess(np.zeros((_STRIDE, _STRIDE, 3), dtype=np.uint8))]))
        views.append(lambda inputs: predictor.outputs(_enlarge(inputs)))
    except (AssertionError, RuntimeError, ValueError) as error:  # a transformer that was trained at one size
        if is_out_of_memory(error):
            raise
    if output_format.mirrored_is_a_view:
        with contextlib.suppress(ConfigError):
            output_format.require_flip()
            views.append(lambda inputs: output_format.unmirror(predictor.outputs(_mirror(inputs)), _width_px(inputs)))
    if not views:
        raise ConfigError(
            "--rank: how unsure the model is shows where images are enlarged or mirrored. Its backbone takes no larger "
            "ones, and it is not known which points change places in mirrored ones (data.swap_pairs)."
        )
    return views


def _enlarge(inputs: Inputs) -> list[list[Tensor]]:
    """Return inputs (3, h, w) a quarter larger, in multiples of 32 pixels."""
    with torch.inference_mode():
        return [[_enlarge_one(scale) for scale in image] for image in inputs]


def _enlarge_one(image: Tensor) -> Tensor:
    size = [-(-round(side * _ZOOM) // _STRIDE) * _STRIDE for side in image.shape[1:]]
    return F.interpolate(image[None], size, mode="bilinear", antialias=True)[0]


def _mirror(inputs: Inputs) -> list[list[Tensor]]:
    with torch.inference_mode():
        return [[scale.flip(2) for scale in image] for image in inputs]


def _width_px(inputs: Inputs) -> int:
    return inputs[0][0].shape[2]  # of several scales the first: they differ by less than a pixel
