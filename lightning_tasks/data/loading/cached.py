"""What the data modules share on the way from rows to batches: cache, device and workers."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import albumentations as A
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
from lightning_tasks.data.tables.file_checks import LocatedTable
from lightning_tasks.data.tables.paths import Paths
from lightning_tasks.data.tables.splits import Rows
from lightning_tasks.data.transforms.device_plan import check_plannable
from lightning_tasks.data.transforms.on_device import DeviceImages
from lightning_tasks.errors import ConfigError
from lightning_tasks.filesystem import expand_path

# Machine-specific or security settings: a checkpoint that is read elsewhere must not bring them.
NOT_IN_CHECKPOINT = ("cache", "cache_dir", "cache_limit_gb", "device_cache", "allow_outside", "mirrors")

_MOST_SHRINK = 2  # that bilinear sampling takes


class Split(NamedTuple):
    """Rows that become one data set."""

    name: str  # training, validation or test
    located: LocatedTable
    rows: Rows
    transform: A.Compose

    @property
    def paths(self) -> Paths:
        """The rows' files."""
        return self.located.files.paths(self.rows)


class Loading(NamedTuple):
    """How a run gets its images."""

    note: str  # for a person
    device_images: DeviceImages | None = None


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
    return CacheSettings(cache, None if cache_dir is None else expand_path(cache_dir), cache_limit_gb)


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
    splits: Sequence[Split],
    settings: CacheSettings,
    side: int,
    white_level: int | None,
    skip_bad: bool,
    device_size: Size | None,
    trainer: Trainer | None,
) -> tuple[Loading, list[ImageStore]]:
    """Return the images of each split, looked up in a cache of all of them, which is built if need be.

    Args:
        name: of the data.
        splits: of one folder of images.
        settings: of the cache.
        side: the images' shorter side is reduced to this; 0: they stay whole.
        white_level: which value is white in images of more than 8 bits; see `in_8_bits`.
        skip_bad: an image that cannot be read takes an empty place in the cache.
        device_size: also copy the images to the trainer's device, which makes images of this height and width of them;
            None: they stay here.
        trainer: of the run, if there is one.

    Raises:
        LightningTasksError: the cache or the device cannot take them, or an image cannot be read.
    """
    paths = [split.paths for split in splits]
    unique, slots = np.unique(np.concatenate([files.names for files in paths]), return_inverse=True)
    all_paths = Paths(paths[0].folder, unique.tolist())
    progress = trainer is None or trainer.progress_bar_callback is not None
    cache, note = open_cache(
        name, all_paths, side, settings, progress=progress, skip_bad=skip_bad, white_level=white_level
    )
    if settings.kind == "ram" and cache is not None:
        if trainer is not None:
            trainer.strategy.barrier()  # until all processes of this machine have it mapped
        cache.remove_name()  # so that nothing is left in memory, however the run ends
    if cache is None:
        if device_size is not None:
            raise ConfigError(f"data.device_cache needs the decoded images: {note}. See data.cache.")
        return Loading(note), [ImageStore(files, side, white_level) for files in paths]
    ends = np.cumsum([len(files) for files in paths])[:-1]
    stores = [
        ImageStore(files, side, white_level, cache, slots_of_split)
        for files, slots_of_split in zip(paths, np.split(slots.reshape(-1), ends), strict=True)
    ]
    if device_size is None or trainer is None:
        return Loading(note), stores
    _check_shrink(side, device_size)
    for split in splits:
        check_plannable(split.transform)
    device = trainer.strategy.root_device
    return Loading(f"{note}, copied to {device}", DeviceImages(cache, device, device_size)), stores


def render(batch: Batch | PlannedBatch, device_images: DeviceImages | None) -> Batch:
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


def _check_shrink(side: int, size: Size) -> None:
    if not 0 < side <= _MOST_SHRINK * min(size):
        raise ConfigError(
            f"data.device_cache samples bilinearly, which takes images of at most twice their size: set "
            f"data.decode_side to {_MOST_SHRINK * min(size)} or less."
        )
