"""One pass of a frozen backbone over some views of the training images, and over the validation images."""

import contextlib
import copy
import hashlib
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import albumentations as A
import cv2
import numpy as np
import timm
import torch
from numpy.typing import NDArray
from pytorch_lightning import Trainer
from torch import Tensor, nn
from tqdm import tqdm

from lightning_tasks.data.datamodule import ImageDataModule
from lightning_tasks.data.loading.dataset import TargetDataset
from lightning_tasks.data.transforms.compose import augment_image
from lightning_tasks.models.base import ImageModel
from lightning_tasks.probe.feature_file import Array, Batches, Shelf, keep_features
from lightning_tasks.probe.fold_norm import fold_batch_norm

_TRIALS = 8  # how often a transform is tried, to tell it from another
_TRIAL_SIZE = (120, 160)


class Features(NamedTuple):
    """What a backbone makes of a data module's images."""

    train: list[Array]  # of each view (N, F) float16; NaN where an image cannot be read
    valid: Array  # (M, F) float16, likewise
    computed: int  # how many images went through; the others were kept
    seconds: float

    @property
    def images(self) -> int:
        """How many images and views of images they are of."""
        return len(self.train) * len(self.train[0]) + len(self.valid)

    @property
    def unreadable(self) -> int:
        """How many training and validation images cannot be read."""
        return sum(int(np.isnan(part[:, 0]).sum()) for part in (self.train[0], self.valid))


def extract_features(
    trainer: Trainer, model: ImageModel, datamodule: ImageDataModule, views: int, shelf: Shelf, validation: bool = True
) -> Features:
    """Return the features of `views` views of the training split, and of the `validation` split as it is scored.

    The first view of a training image is what validation would see of it; the others are those of the training's first
    epochs, of `train_size`. Nothing is mixed, and no row left out. Weights and random states stay as they are.

    To be called from a hook of a running `fit`, before its first batch.

    Raises:
        LightningTasksError: an image cannot be read, or the features not be kept.
    """
    started = time.perf_counter()
    train_set, valid_set = datamodule.train_set, datamodule.valid_set
    plain = _with_transform(train_set, valid_set.transform)
    passes = [(plain, 0), *((train_set, epoch) for epoch in range(views - 1)), *[(valid_set, 0)] * validation]
    identity = [_identify_weights(model.backbone), *_identify_run(trainer, datamodule)]
    progress = None if trainer.progress_bar_callback is not None else True  # None: where there is no terminal
    bar = tqdm(total=sum(len(dataset) for dataset, _ in passes), desc="features", leave=False, disable=progress)
    found, computed = [], 0
    with bar, _frozen(model.backbone):
        folded = cache(partial(fold_batch_norm, model.backbone, datamodule.image_size))  # where nothing is kept yet
        for dataset, epoch in passes:
            name = f"{datamodule.root.resolve().name}-{'validation' if dataset is valid_set else 'training'}"
            kept = keep_features(
                name,
                [*identity, _identify_sizes(datamodule, dataset), *_identify_images(dataset, epoch)],
                len(dataset),
                partial(_compute, trainer, model, folded, datamodule, dataset, epoch, bar),
                shelf,
            )
            computed += 0 if kept.was_there else len(dataset)
            found.append(kept.array)
    valid = found.pop() if validation else found[0][:0]
    return Features(found, valid, computed, time.perf_counter() - started)


def _with_transform(dataset: TargetDataset, transform: A.Compose) -> TargetDataset:
    dataset = copy.copy(dataset)
    dataset.transform = transform
    return dataset


def _compute(
    trainer: Trainer,
    model: ImageModel,
    folded: Callable[[], nn.Module],
    datamodule: ImageDataModule,
    dataset: TargetDataset,
    epoch: int,
    bar: "tqdm[Any]",
) -> Batches:
    network = folded()
    loader = datamodule._loader(dataset, training=False)
    loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]  # our sampler's
    stage, trainer.state.stage = trainer.state.stage, None  # a batch of a training would be mixed
    try:
        for batch in loader:
            if batch is None:  # none of its images can be read
                continue
            batch = trainer.precision_plugin.convert_input(batch)
            batch = model._on_before_batch_transfer(batch, dataloader_idx=0)
            batch = trainer.strategy.batch_to_device(batch, dataloader_idx=0)
            images = batch.images
            if dataset is datamodule.train_set:
                images = datamodule.train_sizes.reduce(images, epoch, None)
            with torch.inference_mode(), trainer.precision_plugin.val_step_context():
                features: Tensor = network(images)
            bar.update(len(batch.rows))
            yield batch.rows.cpu().numpy(), features.float().cpu().numpy()
    finally:
        trainer.state.stage = stage


def _identify_sizes(datamodule: ImageDataModule, dataset: TargetDataset) -> str:
    reduced = datamodule.train_sizes if dataset is datamodule.train_set else None
    return f"{datamodule.image_size}, then {reduced}"


@contextlib.contextmanager
def _frozen(backbone: nn.Module) -> Iterator[None]:
    """Let no layer learn statistics or drop anything."""
    modes = [(module, module.training) for module in backbone.modules()]
    backbone.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _identify_weights(backbone: nn.Module) -> str:
    found = hashlib.sha256(repr(backbone).encode())  # activations, say, have no weights
    for name, tensor in backbone.state_dict().items():
        if name.endswith("num_batches_tracked"):  # decides nothing
            continue
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _identify_run(trainer: Trainer, datamodule: ImageDataModule) -> list[str]:
    """Return what the numbers depend on beside weights and images."""
    versions = (torch.__version__, timm.__version__, cv2.__version__, A.__version__)
    return [
        f"batch norm folded, {trainer.precision} on {trainer.strategy.root_device.type}, {versions}",
        f"decoded to {datamodule.decode_side}, white {datamodule.white_level}, on device {datamodule.device_cache}",
        datamodule.on_bad_image,  # or a run that does not skip them would not notice
    ]


def _identify_images(dataset: TargetDataset, epoch: int) -> list[str]:
    return [
        _identify_transform(dataset.transform),
        f"seed {dataset.seed}, epoch {epoch}",
        *map(_state, dataset.paths),
    ]


def _state(path: Path) -> str:
    found = path.stat()
    return f"{path} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"


def _identify_transform(transform: A.Compose) -> str:
    """Return what a transform is, by its settings and by what it does: its own text may leave out some of them."""
    noise = np.random.default_rng(0).integers(0, 256, (*_TRIAL_SIZE, 3), dtype=np.uint8)
    settings = [_settings(step) for step in transform.transforms]
    results = hashlib.sha256()
    for seed in range(_TRIALS):
        image: NDArray[np.uint8] = augment_image(transform, noise, seed)
        results.update(f"{image.shape}".encode() + image.tobytes())
    return f"{transform!r} {settings} {results.hexdigest()}"


def _settings(step: object) -> str:
    """Return the plain values that a step of a transform holds."""
    plain = (bool, int, float, str, tuple, list, type(None))
    held = {name: value for name, value in vars(step).items() if isinstance(value, plain)}
    return f"{type(step).__qualname__} {held}"
