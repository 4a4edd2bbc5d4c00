"""What the data modules share on the way from rows to batches: cache, device and workers."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from pytorch_lightning import Trainer
from torch.utils.data import DataLoader, Dataset

from lightning_tasks.batch import Batch, PlannedBatch
from lightning_tasks.data.images.cache import CacheKind, CacheSettings, open_cache
from lightning_tasks.data.images.decode import Size
from lightning_tasks.data.images.store import ImageStore
from lightning_tasks.data.loading.dataloader import default_workers, make_loader
from lightning_tasks.data.loading.dataset import ImageDataset, collate_planned
from lightning_tasks.data.loading.skipping import Skipping, collate_readable
from lightning_tasks.data.tables.paths import Paths
from lightning_tasks.data.transforms.device_plan import check_plannable
from lightning_tasks.data.transforms.on_device import DeviceImages
from lightning_tasks.errors import ConfigError
from lightning_tasks.filesystem import expanded

# Of the machine, not of the run, or of its user's trust: a checkpoint that is read elsewhere must not bring them.
MACHINES_OWN = ("cache", "cache_dir", "cache_limit_gb", "device_cache", "allow_outside", "mirrors")

_MOST_SHRINK = 2  # that bilinear sampling takes


class Loading(NamedTuple):
    """How a run gets its images."""

    note: str  # for a person
    device_images: DeviceImages | None


def cache_settings(cache: CacheKind, cache_dir: str | None, cache_limit_gb: float, device_cache: bool) -> CacheSettings:
    """Return the settings of the cache.

    Raises:
        ConfigError: the limit is not above 0, or images are to be on the device without a cache.
    """
    if not cache_limit_gb > 0:
        raise ConfigError(
            f"data.cache_limit_gb is {cache_limit_gb}; it must be above 0. Without a cache: data.cache none."
        )
    if device_cache and cache == "none":
        raise ConfigError("data.device_cache needs the decoded images: leave out data.cache none.")
    return CacheSettings(cache, None if cache_dir is None else expanded(cache_dir), cache_limit_gb)


def side_to_decode(given: int | None, size: Size, factor: float, own_transforms: bool) -> int:
    """Return the shorter side that images are reduced to; 0: none.

    Args:
        given: by the user; None: `factor` times the smaller side of `size`, or 0 for transforms of the user's own,
            which may want all there is.
        size: of the images that the model sees.
        factor: how much larger the images must be that a transform takes a part of.
        own_transforms: there are some.

    Raises:
        ConfigError: it is smaller than what the model sees.
    """
    if given is None:
        return 0 if own_transforms else round(factor * min(size))
    if given != 0 and given < min(size):
        raise ConfigError(f"data.decode_side is {given}, less than the images of {min(size)} px. 0 leaves them whole.")
    return given


def load_through_cache(
    name: str,
    datasets: Sequence[ImageDataset[Any]],
    settings: CacheSettings,
    size: Size,
    device_cache: bool,
    trainer: Trainer | None,
) -> Loading:
    """Let the datasets look their images up in a cache of all of them, which is built if need be.

    Args:
        name: of the data.
        datasets: of one folder of images.
        settings: of the cache.
        size: height and width of the images that the model sees.
        device_cache: also copy the images to the trainer's device, and plan transforms for it.
        trainer: of the run, if there is one.

    Raises:
        LightningTasksError: the cache or the device cannot take them, or an image cannot be read.
    """
    images = [dataset.images for dataset in datasets]
    names = [paths.names for paths in (one.paths for one in images) if isinstance(paths, Paths)]
    unique, slots = np.unique(np.concatenate(names), return_inverse=True)
    paths = Paths(images[0].paths.folder, unique.tolist()) if isinstance(images[0].paths, Paths) else []
    progress = trainer is None or trainer.progress_bar_callback is not None
    skip_bad = datasets[0].skipped is not None
    cache, note = open_cache(
        name,
        paths,
        images[0].side,
        settings,
        progress=progress,
        skip_bad=skip_bad,
        white_level=images[0].white_level,
    )
    if settings.kind == "ram" and cache is not None:
        if trainer is not None:
            trainer.strategy.barrier()  # until all processes of this machine have it mapped
        cache.remove_name()  # so that nothing is left in memory, however the run ends
    if cache is None:
        if device_cache:
            raise ConfigError(f"data.device_cache needs the decoded images: {note}. See data.cache.")
        return Loading(note, None)
    ends = np.cumsum([len(one) for one in images])[:-1]
    for one, its_slots in zip(images, np.split(slots.reshape(-1), ends), strict=True):
        one.look_up_in(cache, its_slots)
    if not device_cache or trainer is None:
        return Loading(note, None)
    _check_shrink(images[0], size)
    for dataset in datasets:
        check_plannable(dataset.transform)
        dataset.on_device = True
    device = trainer.strategy.root_device
    return Loading(f"{note}, copied to {device}", DeviceImages(cache, device, size))


def rendered(batch: Batch | PlannedBatch, device_images: DeviceImages | None) -> Batch:
    """Return the batch with its images, which the device makes if they were only planned."""
    if not isinstance(batch, PlannedBatch):
        return batch
    assert device_images is not None
    return batch.batch._replace(images=device_images.render(batch.planned))


def split_loader(
    dataset: ImageDataset[Any],
    collate: Callable[[Any], Batch],
    training: bool,
    batch_size: int,
    num_workers: int | None,
    seed: int,
    trainer: Trainer | None,
) -> DataLoader[Any]:
    """Return a loader of this process's share of a split; see `make_loader`.

    Args:
        dataset: the split.
        collate: samples to a batch.
        training: shuffle, and drop the last batch.
        batch_size: images in a batch of this process.
        num_workers: processes that load; None: what suits the trainer's device.
        seed: of the order.
        trainer: of the run, if there is one.
    """
    samples: Dataset[Any] = dataset
    together: Callable[[Any], Any] = partial(collate_planned, collate) if dataset.on_device else collate
    if dataset.skipped is not None:
        samples, together = Skipping(dataset, dataset.skipped), partial(collate_readable, together, training)
    return make_loader(
        samples,
        together,
        n=len(dataset),
        training=training,
        batch_size=batch_size,
        num_workers=_workers(trainer) if num_workers is None else num_workers,
        seed=seed,
        rank=trainer.global_rank if trainer else 0,
        world_size=trainer.world_size if trainer else 1,
    )


def _workers(trainer: Trainer | None) -> int:
    if trainer is None:
        return default_workers(torch.cuda.is_available(), 1)
    return default_workers(trainer.strategy.root_device.type != "cpu", max(1, trainer.num_devices))


def _check_shrink(images: ImageStore, size: Size) -> None:
    if not 0 < images.side <= _MOST_SHRINK * min(size):
        raise ConfigError(
            f"data.device_cache samples bilinearly, which takes images of at most twice their size: set "
            f"data.decode_side to {_MOST_SHRINK * min(size)} or less."
        )
