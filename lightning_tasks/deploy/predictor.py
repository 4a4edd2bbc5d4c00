"""A trained model for anybody's images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

import torch
from torch import Tensor

from lightning_tasks.data.images.decode import MAX_PIXELS, Image, Size
from lightning_tasks.data.transforms.tensor_resize import Preprocess
from lightning_tasks.deploy.image_input import Source, rgb
from lightning_tasks.devices import is_out_of_memory
from lightning_tasks.errors import ConfigError, what_is_wrong
from lightning_tasks.tasks.prediction import InferenceModule, OutputFormat, Prediction

_STRIDE = 32  # scaled sizes are multiples of it: what convolutional backbones shrink by


@dataclass(frozen=True)
class Views:
    """What of each image is predicted and averaged: test-time augmentation where it is more than one view.

    Attributes:
        flip: also mirrored.
        scales: times the size that the model was trained at, to the next multiple of 32 pixels.
    """

    flip: bool = False
    scales: tuple[float, ...] = (1.0,)


SINGLE_VIEW = Views()


class Predictor:
    """Predict images, from any number of threads: a call changes nothing.

    Args:
        module: a trained model with its preprocessing, on the device that it is to run on, in evaluation mode.
        output_format: what its outputs mean.
        device: where the module is.
        views: of each image; their predictions are averaged.
        allow_pixels: a file with more is not read.
        white_level: which value is white in images of more than 8 bits; see `rgb`.

    Raises:
        ConfigError: mirrored images are asked for and it is not known which points change places, or the backbone
            does not take a scaled size.
    """

    def __init__(
        self,
        module: InferenceModule,
        output_format: OutputFormat[Any],
        device: torch.device,
        views: Views,
        allow_pixels: int = MAX_PIXELS,
        white_level: int | None = None,
    ) -> None:
        self.module = module
        self.output_format = output_format
        self.device = device
        self.views = views
        self.allow_pixels = allow_pixels
        self.white_level = white_level
        if not views.scales:
            raise ConfigError("scales must name at least one: 1.0 is the size that the model was trained at.")
        if views.flip:
            output_format.require_flip()
        self._preprocess_at = [_scale(module.preprocess, scale) for scale in views.scales]
        for preprocess in self._preprocess_at[1:] if views.scales[:1] == (1.0,) else self._preprocess_at:
            self._try_size(preprocess.window.size)

    @overload
    def __call__(self, images: Source, batch_size: int = 64) -> Prediction: ...

    @overload
    def __call__(self, images: list[Source] | tuple[Source, ...], batch_size: int = 64) -> list[Prediction]: ...

    def __call__(
        self, images: Source | list[Source] | tuple[Source, ...], batch_size: int = 64
    ) -> Prediction | list[Prediction]:
        """Return the prediction for an image, or for each of several; see `rgb` for what an image may be.

        Raises:
            ImageError: an image cannot be read.
            ConfigError: the model predicts NaN.
        """
        if not isinstance(images, (list, tuple)):
            return self([images])[0]
        predictions: list[Prediction] = []
        for begin in range(0, len(images), batch_size):
            decoded = [rgb(image, self.allow_pixels, self.white_level) for image in images[begin : begin + batch_size]]
            inputs = [self.preprocess(image) for image in decoded]
            predictions += self.predict(inputs, [_size(image) for image in decoded])
        return predictions

    def preprocess(self, image: Image) -> list[Tensor]:
        """Return the network's inputs for an (H, W, 3) image, one for each scale, (3, h, w) float32 on the CPU."""
        writable = image if image.flags.writeable else image.copy()  # torch warns of what it does not write to
        with torch.inference_mode():
            return [preprocess(torch.from_numpy(writable)[None])[0] for preprocess in self._preprocess_at]

    def predict(self, inputs: Sequence[Sequence[Tensor]], sizes: Sequence[Size]) -> list[Prediction]:
        """Return the predictions for images.

        Args:
            inputs: of each image, what `preprocess` returned.
            sizes: of each image, height and width.

        Raises:
            ConfigError: the model predicts NaN.
        """
        with torch.inference_mode():
            at_scales = [self._forward(torch.stack(batch)) for batch in zip(*inputs, strict=True)]
            outputs = self.output_format.combine(at_scales).cpu()
        if not outputs.isfinite().all():
            raise ConfigError("The model predicts NaN: its training diverged. Take an earlier checkpoint.")
        return self.output_format.decode(outputs, sizes)

    def _forward(self, inputs: Tensor) -> Tensor:
        inputs = inputs.to(self.device, memory_format=torch.channels_last)
        outputs = self.module.predict(inputs)
        if not self.views.flip:
            return outputs
        mirrored = self.output_format.unmirror(self.module.predict(inputs.flip(3)), inputs.shape[3])
        return self.output_format.combine([outputs, mirrored])

    def _try_size(self, size: Size) -> None:
        try:
            with torch.inference_mode():
                self.module.predict(torch.zeros(1, 3, *size, device=self.device))
        except (AssertionError, RuntimeError, ValueError) as error:
            if is_out_of_memory(error):  # which says nothing of the size
                raise
            raise ConfigError(
                f"The backbone does not take images of {size[0]}×{size[1]}, which a scale asks for "
                f"({what_is_wrong(error)}). Predict without scales."
            ) from error


def _scale(preprocess: Preprocess, scale: float) -> Preprocess:
    if scale == 1.0:
        return preprocess
    if not 0.25 <= scale <= 4:
        raise ConfigError(f"A scale is between 0.25 and 4, not {scale}.")
    height, width = (max(_STRIDE, round(side * scale / _STRIDE) * _STRIDE) for side in preprocess.window.size)
    return Preprocess(preprocess.window._replace(size=(height, width)), round(preprocess.side * max(1.0, scale)))


def _size(image: Image) -> Size:
    return image.shape[0], image.shape[1]
