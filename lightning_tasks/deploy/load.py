"""From a checkpoint alone to a predictor: no config, no data."""

from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningModule

from lightning_tasks.checkpoint import read_checkpoint
from lightning_tasks.data.images.decode import MAX_PIXELS, allow
from lightning_tasks.data.images.depth import check_white_level
from lightning_tasks.deploy.predictor import SINGLE_VIEW, Predictor, Views
from lightning_tasks.devices import compute_after_fork
from lightning_tasks.devices import keep_freed_memory as keep_memory
from lightning_tasks.errors import CheckpointError, ConfigError, what_is_wrong
from lightning_tasks.models.backbone import weights_follow
from lightning_tasks.tasks.registry import task_of


def load(
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
    """Return a predictor for images: paths, files' bytes, arrays or PIL images.

    Images go through the default validation transform; one of your own (`valid_transform`) is not in a checkpoint.
    Processes that are forked from this one afterwards (`multiprocessing.Pool`, `gunicorn --preload`) predict on one
    thread each; on an accelerator each must load for itself.

    Args:
        checkpoint: of one of our tasks.
        device: `cpu`, `cuda`, `cuda:1`, `mps`; `auto`: an accelerator where there is one.
        threshold: for all labels, in place of those in the checkpoint.
        flip: also predict the mirrored image, and average.
        scales: predict each image at these multiples of the model's size, and average.
        allow_pixels: a file with more is not read. Above the default it raises Pillow's own limit of the process too.
        white_level: which value is white in images of more than 8 bits, in place of the checkpoint's.
        keep_freed_memory: on the CPU, let this whole process keep what it frees, up to its peak, rather than ask the
            system for it again with each batch: a third faster. False: leave that as it is.

    Raises:
        CheckpointError: it cannot be read, or is not of such a model.
        ConfigError: the settings do not work.
    """
    path = Path(checkpoint)
    views = Views(flip, scales)
    allow(allow_pixels, "allow_pixels")
    check_white_level(white_level, "white_level")
    content = read_checkpoint(path)
    predictor = predictor_of(content, path, device, threshold=threshold, views=views, allow_pixels=allow_pixels)
    if white_level is not None:
        predictor.white_level = white_level
    if keep_freed_memory and predictor.device.type == "cpu":
        keep_memory()
    return predictor


def predictor_of(
    content: dict[str, Any],
    path: Path,
    device: str,
    *,
    threshold: float | None = None,
    views: Views = SINGLE_VIEW,
    allow_pixels: int = MAX_PIXELS,
) -> Predictor:
    """Return a predictor from a checkpoint's content, which was read from `path`; see `load`."""
    hyper_parameters = {k: v for k, v in content.get("hyper_parameters", {}).items() if not k.startswith("_")}
    data = content.get("datamodule_hyper_parameters", {})
    white_level = data.get("white_level")  # none before one could choose: 65,535 of 16 bits
    on_device = _device(device)
    compute_after_fork()
    try:
        task = task_of(hyper_parameters)
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error} Take a checkpoint that `lightning-tasks fit` wrote.") from error
    model = _model(task.model, hyper_parameters, content, path)
    output_format = task.output_format(model, data)
    if threshold is not None:
        output_format = output_format.with_threshold(threshold)
    module = task.inference_module(model, task.preprocess(model, data)).eval().to(on_device)
    return Predictor(module, output_format, on_device, views, allow_pixels, white_level)


def _model(
    cls: type[LightningModule], hyper_parameters: dict[str, Any], content: dict[str, Any], path: Path
) -> LightningModule:
    try:
        with weights_follow():
            model = cls(**hyper_parameters)
        model.load_state_dict(content["state_dict"])
    except (KeyError, RuntimeError, TypeError) as error:
        raise CheckpointError(
            f"{path} does not fit this version's {cls.__name__} ({what_is_wrong(error)}). Train it anew, or "
            "install the version that wrote it."
        ) from error
    return model.eval()


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ConfigError(f"There is no device {name!r} here ({what_is_wrong(error)}). Use cpu, or auto.") from error
    return device
