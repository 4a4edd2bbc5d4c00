"""From a checkpoint alone to a predictor: no config, no data."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from lightning_tasks.checkpoint import read_checkpoint
from lightning_tasks.data.images.decode import MAX_PIXELS, allow
from lightning_tasks.data.images.depth import check_white_level
from lightning_tasks.data.loading.cached import side_to_decode
from lightning_tasks.data.transforms.tensor_resize import Preprocess, Window
from lightning_tasks.deploy.inference_module import LabelNetwork, PointNetwork
from lightning_tasks.deploy.predictor import ONE_VIEW, Labels, Points, Predictor, Views
from lightning_tasks.devices import compute_after_fork
from lightning_tasks.devices import keep_freed_memory as keep_memory
from lightning_tasks.errors import CheckpointError, ConfigError, what_is_wrong
from lightning_tasks.models.backbone import weights_follow
from lightning_tasks.tasks import KeypointRegressor
from lightning_tasks.tasks.keypoints.datamodule import DECODE_FACTOR as POINTS_DECODE_FACTOR
from lightning_tasks.tasks.keypoints.flip_points import mirrored_order
from lightning_tasks.tasks.multilabel.datamodule import DECODE_FACTOR as LABELS_DECODE_FACTOR
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

    Images go through the book's validation transform; one of your own (`valid_transform`) is not in a checkpoint.
    Processes that are forked from this one afterwards (`multiprocessing.Pool`, `gunicorn --preload`) predict on one
    thread each; on an accelerator each must load for itself.

    Args:
        checkpoint: of a MultiLabelClassifier or a KeypointRegressor.
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
    views: Views = ONE_VIEW,
    allow_pixels: int = MAX_PIXELS,
) -> Predictor:
    """Return a predictor from a checkpoint's content, which was read from `path`; see `load`."""
    hyper_parameters = {k: v for k, v in content.get("hyper_parameters", {}).items() if not k.startswith("_")}
    data = content.get("datamodule_hyper_parameters", {})
    white_level = data.get("white_level")  # none before one could choose: 65,535 of 16 bits
    where = _device(device)
    compute_after_fork()
    if "vocab" in hyper_parameters:
        if threshold is not None:
            hyper_parameters["threshold"] = threshold
        labels = _model(task_of(hyper_parameters).model, hyper_parameters, content, path)
        size = labels.hparams["image_size"]
        side = side_to_decode(data.get("decode_side"), size, LABELS_DECODE_FACTOR, own_transforms=False)
        window = Window(size, data.get("val_xtra", 0.14))  # what it was before one could choose
        network = LabelNetwork(labels, Preprocess(window, side)).eval().to(where)
        thresholds = None if labels.thresholds is None else labels.thresholds.numpy().astype(np.float32)
        return Predictor(network, Labels(tuple(labels.vocab), thresholds), where, views, allow_pixels, white_level)
    if "point_names" in hyper_parameters:
        if threshold is not None:
            raise ConfigError("A threshold is for labels; this checkpoint predicts points.")
        points = _model(KeypointRegressor, hyper_parameters, content, path)
        size = points.hparams["image_size"]
        side = side_to_decode(data.get("decode_side"), size, POINTS_DECODE_FACTOR, own_transforms=False)
        point_network = PointNetwork(points, Preprocess(Window(size, 0), side)).eval().to(where)
        names = tuple(points.point_names)
        return Predictor(
            point_network,
            Points(names, mirrored_order(names, data.get("swap_pairs"))),
            where,
            views,
            allow_pixels,
            white_level,
        )
    raise CheckpointError(
        f"{path} says neither which labels nor which points it knows: it is not of a MultiLabelClassifier or a "
        "KeypointRegressor. Take a checkpoint that `lightning-tasks fit` wrote."
    )


def _model(cls: Any, hyper_parameters: dict[str, Any], content: dict[str, Any], path: Path) -> Any:  # noqa: ANN401 - either
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
