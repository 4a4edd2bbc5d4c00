"""A trained model for anybody's images, from a checkpoint alone: no config, no data."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import torch
from pytorch_lightning import LightningModule
from torch import Tensor

from lightning_tasks.checkpoint import read_checkpoint
from lightning_tasks.data.images.decode import MAX_PIXELS, Image, Size, allow
from lightning_tasks.data.images.depth import check_white_level
from lightning_tasks.data.transforms.tensor_resize import Preprocess
from lightning_tasks.deploy.image_input import Source, rgb
from lightning_tasks.devices import compute_after_fork, is_out_of_memory
from lightning_tasks.devices import keep_freed_memory as keep_memory
from lightning_tasks.errors import CheckpointError, ConfigError, what_is_wrong
from lightning_tasks.models.backbone import weights_follow
from lightning_tasks.tasks.prediction import InferenceModule, OutputFormat, Prediction
from lightning_tasks.tasks.registry import task_of
from lightning_tasks.tasks.task import Task

_STRIDE = 32  # scaled sizes are multiples of it: what convolutional backbones shrink by


@dataclass(eq=False, repr=False)
class Predictor:
    """Predict images, from any number of threads: a call changes nothing.

    Args:
        module: a trained model with its preprocessing, on the device that it is to run on, in evaluation mode.
        output_format: what its outputs mean.
        device: where the module is.
        flip, scales, allow_pixels, white_level: as `ensemble.load` has them; scaled sizes are multiples of 32 pixels.

    Raises:
        ConfigError: mirrored images are asked for and it is not known which points change places, or the backbone
            does not take a scaled size.
    """

    module: InferenceModule
    output_format: OutputFormat[Any]
    device: torch.device
    flip: bool = False
    scales: tuple[float, ...] = (1.0,)
    allow_pixels: int = MAX_PIXELS
    white_level: int | None = None

    def __post_init__(self) -> None:
        if not self.scales:
            raise ConfigError("scales must name at least one: 1.0 is the size that the model was trained at.")
        if self.flip:
            self.output_format.require_flip()
        self.preprocess_at = [_scale(self.module.preprocess, scale) for scale in self.scales]
        for preprocess in self.preprocess_at[1:] if self.scales[0] == 1.0 else self.preprocess_at:
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
            predictions += self.predict(inputs, [(image.shape[0], image.shape[1]) for image in decoded])
        return predictions

    def preprocess(self, image: Image) -> list[Tensor]:
        """Return the network's inputs for an (H, W, 3) image, one for each scale, (3, h, w) float32 on the CPU."""
        writable = image if image.flags.writeable else image.copy()  # torch warns of what it does not write to
        with torch.inference_mode():
            return [preprocess(torch.from_numpy(writable)[None])[0] for preprocess in self.preprocess_at]

    def predict(self, inputs: Sequence[Sequence[Tensor]], sizes: Sequence[Size]) -> list[Prediction]:
        """Return the predictions for images of which `preprocess` returned `inputs`, with their heights and widths.

        Raises:
            ConfigError: the model predicts NaN.
        """
        return self.output_format.decode(self.outputs(inputs), sizes)

    def outputs(self, inputs: Sequence[Sequence[Tensor]]) -> Tensor:
        """Return the outputs (B, ...) on the CPU for images of which `preprocess` returned `inputs`.

        Raises:
            ConfigError: the model predicts NaN.
        """
        with torch.inference_mode():
            at_scales = [self._forward(torch.stack(batch)) for batch in zip(*inputs, strict=True)]
            outputs = self.output_format.combine(at_scales).cpu()
        if not outputs.isfinite().all():
            raise ConfigError("The model predicts NaN: its training diverged. Take an earlier checkpoint.")
        return outputs

    def _forward(self, inputs: Tensor) -> Tensor:
        inputs = inputs.to(self.device, memory_format=torch.channels_last)
        outputs = self.module.predict(inputs)
        if not self.flip:
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


def load_one(
    checkpoint: str | Path,
    device: str = "auto",
    *,
    threshold: float | None = None,
    flip: bool = False,
    scales: tuple[float, ...] = (1.0,),
    allow_pixels: int = MAX_PIXELS,
    white_level: int | None = None,
    keep_freed_memory: bool = True,
) -> Predictor:
    """Return a predictor from one checkpoint; see `ensemble.load`."""
    allow(allow_pixels, "allow_pixels")
    check_white_level(white_level, "white_level")
    path = Path(checkpoint)
    predictor = predictor_of(read_checkpoint(path), path, device, threshold, flip, scales, allow_pixels, white_level)
    if keep_freed_memory and predictor.device.type == "cpu":
        keep_memory()
    return predictor


def predictor_of(
    content: dict[str, Any],
    path: Path,
    device: str,
    threshold: float | None = None,
    flip: bool = False,
    scales: tuple[float, ...] = (1.0,),
    allow_pixels: int = MAX_PIXELS,
    white_level: int | None = None,
) -> Predictor:
    """Return a predictor from a checkpoint's content, which was read from `path`; see `ensemble.load`."""
    data = content.get("datamodule_hyper_parameters", {})
    if white_level is None:
        white_level = data.get("white_level")  # none before one could choose: 65,535 of 16 bits
    on_device = _device(device)
    compute_after_fork()
    task, model = _task_and_model(content, path)
    output_format = task.output_format(model, data)
    if threshold is not None:
        output_format = output_format.with_threshold(threshold)
    module = task.inference_module(model, task.preprocess(model, data)).eval().to(on_device)
    return Predictor(module, output_format, on_device, flip, scales, allow_pixels, white_level)


def model_of(content: dict[str, Any], path: Path) -> LightningModule:
    """Return the model of a checkpoint's content, which was read from `path`, on the CPU, in evaluation mode.

    Raises:
        CheckpointError: it is not of one of our tasks, or does not fit this version.
    """
    return _task_and_model(content, path)[1]


def _task_and_model(content: dict[str, Any], path: Path) -> tuple[Task, LightningModule]:
    hyper_parameters = {k: v for k, v in content.get("hyper_parameters", {}).items() if not k.startswith("_")}
    try:
        task = task_of(hyper_parameters)
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error} Take a checkpoint that `lightning-tasks fit` wrote.") from error
    cls = task.model
    try:
        with weights_follow():
            model = cls(**hyper_parameters)
        model.load_state_dict(content["state_dict"])
    except (KeyError, RuntimeError, TypeError) as error:
        raise CheckpointError(
            f"{path} does not fit this version's {cls.__name__} ({what_is_wrong(error)}). Train it anew, or "
            "install the version that wrote it."
        ) from error
    return task, model.eval()


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ConfigError(f"There is no device {name!r} here ({what_is_wrong(error)}). Use cpu, or auto.") from error
    return device
