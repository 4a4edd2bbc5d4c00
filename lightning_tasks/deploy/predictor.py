"""A trained model for anybody's images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_tasks.data.images.decode import MAX_PIXELS, Image, Size
from lightning_tasks.data.transforms.tensor_resize import Preprocess
from lightning_tasks.deploy.image_input import Source, rgb
from lightning_tasks.deploy.inference_module import LabelNetwork, PointNetwork
from lightning_tasks.devices import is_out_of_memory
from lightning_tasks.errors import ConfigError, what_is_wrong
from lightning_tasks.tasks.keypoints.flip_points import unmirrored
from lightning_tasks.tasks.keypoints.scores import original_points_px

_STRIDE = 32  # scaled sizes are multiples of it: what convolutional backbones shrink by


@dataclass(frozen=True)
class LabelPrediction:
    """What the model says of an image's labels."""

    vocab: tuple[str, ...]  # C labels
    probabilities: NDArray[np.float32]  # (C,)
    chosen: NDArray[np.bool_]  # (C,), above the thresholds; or the likeliest one

    @property
    def labels(self) -> tuple[str, ...]:
        """The chosen labels, the likeliest first."""
        order = np.argsort(-self.probabilities, kind="stable")
        return tuple(self.vocab[i] for i in order if self.chosen[i])


@dataclass(frozen=True)
class PointPrediction:
    """Where the model sees an image's points."""

    point_names: tuple[str, ...]  # P points
    points_px: NDArray[np.float32]  # (P, 2), x and y in the image's pixels; the centre of the top-left one is (0, 0)


Prediction = LabelPrediction | PointPrediction


@dataclass(frozen=True)
class Labels:
    """What turns probabilities into labels."""

    vocab: tuple[str, ...]
    thresholds: NDArray[np.float32] | None  # (C,); None: exactly one label, the likeliest


@dataclass(frozen=True)
class Points:
    """The points' names, and which change places in a mirrored image."""

    names: tuple[str, ...]
    mirrored: tuple[int, ...] | None  # P positions; None: not known


@dataclass(frozen=True)
class Views:
    """What of each image is predicted and averaged: test-time augmentation where it is more than one view.

    Attributes:
        flip: also mirrored.
        scales: times the size that the model was trained at, to the next multiple of 32 pixels.
    """

    flip: bool = False
    scales: tuple[float, ...] = (1.0,)


ONE_VIEW = Views()


class Predictor:
    """Predict images, from any number of threads: a call changes nothing.

    Args:
        network: a trained model with its preprocessing, on the device that it is to run on, in evaluation mode.
        names: what its outputs mean.
        device: where the network is.
        views: of each image; their predictions are averaged.
        allow_pixels: a file with more is not read.
        white_level: which value is white in images of more than 8 bits; see `rgb`.

    Raises:
        ConfigError: mirrored images are asked for and it is not known which points change places, or the backbone
            does not take a scaled size.
    """

    def __init__(
        self,
        network: LabelNetwork | PointNetwork,
        names: Labels | Points,
        device: torch.device,
        views: Views,
        allow_pixels: int = MAX_PIXELS,
        white_level: int | None = None,
    ) -> None:
        self.network = network
        self.names = names
        self.device = device
        self.views = views
        self.allow_pixels = allow_pixels
        self.white_level = white_level
        if not views.scales:
            raise ConfigError("scales must name at least one: 1.0 is the size that the model was trained at.")
        if views.flip and isinstance(names, Points) and names.mirrored is None:
            raise ConfigError(
                "A mirrored image has left and right points in each other's place, and the checkpoint does not say "
                "which: it was trained without data.swap_pairs. Predict without flip."
            )
        self._preprocess = [_scaled(network.preprocess, scale) for scale in views.scales]
        for preprocess in self._preprocess[1:] if views.scales[:1] == (1.0,) else self._preprocess:
            self._try_size(preprocess.window.size)

    @overload
    def __call__(self, images: Source, batch_size: int = 64) -> Prediction: ...

    @overload
    def __call__(self, images: list[Source] | tuple[Source, ...], batch_size: int = 64) -> list[Prediction]: ...

    def __call__(
        self, images: Source | list[Source] | tuple[Source, ...], batch_size: int = 64
    ) -> Prediction | list[Prediction]:
        """Return what the model says of an image, or of each of several; see `rgb` for what an image may be.

        Raises:
            ImageError: an image cannot be read.
            ConfigError: the model predicts NaN.
        """
        if not isinstance(images, (list, tuple)):
            return self([images])[0]
        found: list[Prediction] = []
        for begin in range(0, len(images), batch_size):
            decoded = [rgb(image, self.allow_pixels, self.white_level) for image in images[begin : begin + batch_size]]
            found += self.say([self.see(image) for image in decoded], [_size(image) for image in decoded])
        return found

    def see(self, image: Image) -> list[Tensor]:
        """Return what the network sees of an (H, W, 3) image at each scale, (3, h, w) float32 on the CPU."""
        writable = image if image.flags.writeable else image.copy()  # torch warns of what it does not write to
        with torch.inference_mode():
            return [preprocess(torch.from_numpy(writable)[None])[0] for preprocess in self._preprocess]

    def say(self, seen: Sequence[Sequence[Tensor]], sizes: Sequence[Size]) -> list[Prediction]:
        """Return what the model says of images.

        Args:
            seen: of each image, what `see` returned.
            sizes: of each image, height and width.

        Raises:
            ConfigError: the model predicts NaN.
        """
        with torch.inference_mode():
            views = [self._say_one(torch.stack(one)) for one in zip(*seen, strict=True)]
            found = torch.stack(views).mean(0).cpu()
        if not found.isfinite().all():
            raise ConfigError("The model predicts NaN: its training diverged. Take an earlier checkpoint.")
        return self._named(found, sizes)

    def _say_one(self, seen: Tensor) -> Tensor:
        images = seen.to(self.device, memory_format=torch.channels_last)
        said = self.network.say(images)
        if not self.views.flip:
            return said
        mirrored = self.network.say(images.flip(3))
        if isinstance(self.names, Points):
            assert self.names.mirrored is not None
            mirrored = unmirrored(mirrored, self.names.mirrored, images.shape[3])
        return (said + mirrored) / 2

    def _named(self, found: Tensor, sizes: Sequence[Size]) -> list[Prediction]:
        if isinstance(self.names, Points):
            widths_and_heights = torch.tensor([size[::-1] for size in sizes], dtype=torch.float32)
            points_px = original_points_px(found, self.network.preprocess.window.size, widths_and_heights)
            return [PointPrediction(self.names.names, points) for points in points_px.numpy()]
        probabilities = found.numpy()
        limits = probabilities.max(1, keepdims=True) if self.names.thresholds is None else self.names.thresholds
        chosen = probabilities >= limits if self.names.thresholds is None else probabilities > limits
        return [LabelPrediction(self.names.vocab, p, c) for p, c in zip(probabilities, chosen, strict=True)]

    def _try_size(self, size: Size) -> None:
        try:
            with torch.inference_mode():
                self.network.say(torch.zeros(1, 3, *size, device=self.device))
        except (AssertionError, RuntimeError, ValueError) as error:
            if is_out_of_memory(error):  # which says nothing of the size
                raise
            raise ConfigError(
                f"The backbone does not take images of {size[0]}×{size[1]}, which a scale asks for "
                f"({what_is_wrong(error)}). Predict without scales."
            ) from error


def _scaled(preprocess: Preprocess, scale: float) -> Preprocess:
    if scale == 1.0:
        return preprocess
    if not 0.25 <= scale <= 4:
        raise ConfigError(f"A scale is between 0.25 and 4, not {scale}.")
    height, width = (max(_STRIDE, round(side * scale / _STRIDE) * _STRIDE) for side in preprocess.window.size)
    return Preprocess(preprocess.window._replace(size=(height, width)), round(preprocess.side * max(1.0, scale)))


def _size(image: Image) -> Size:
    return image.shape[0], image.shape[1]
