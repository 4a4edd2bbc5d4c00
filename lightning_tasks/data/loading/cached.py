"""What the data modules share on the way from rows to batches: cache, device and workers."""

from collections.abc import Sequence
from typing import NamedTuple

import albumentations as A
import numpy as np
from pytorch_lightning import Trainer

from lightning_tasks.data.images.cache import CacheKind, CacheSettings, ImageStore, open_cache
from lightning_tasks.data.images.decode import Size
from lightning_tasks.data.tables.file_checks import LocatedTable
from lightning_tasks.data.tables.paths import Paths
from lightning_tasks.data.tables.splits import Rows
from lightning_tasks.data.transforms.compose import check_plannable
from lightning_tasks.data.transforms.on_device import DeviceImages
from lightning_tasks.errors import ConfigError
from lightning_tasks.filesystem import expand_path

# Machine-specific or security settings: a checkpoint that is read elsewhere must not bring them.
NOT_IN_CHECKPOINT = ("cache", "cache_dir", "cache_limit_gb", "device_cache", "allow_outside", "mirrors")


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
    """Return the settings of the cache; raise ConfigError where they cannot be."""
    if not cache_limit_gb > 0:
        what = f"data.cache_limit_gb is {cache_limit_gb}; it must be above 0"
        raise ConfigError(f"{what}. Without a cache: data.cache none.")
    if device_cache and cache == "none":
        raise ConfigError("data.device_cache needs the decoded images: leave out data.cache none.")
    return CacheSettings(cache, None if cache_dir is None else expand_path(cache_dir), cache_limit_gb)


def side_to_decode(given: int | None, size: Size, factor: float, own_transforms: bool) -> int:
    """Return the shorter side that images are reduced to, 0: none; raise ConfigError if the model sees more.

    Where none is given it is `factor` times the smaller side of what the model sees, as a transform takes a part; and 0
    for transforms of the user's own, which may want all there is.
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
    """Return the images of each split of one folder, looked up in a cache of all of them, which is built if need be.

    Where there is a `device_size`, they are also copied to the trainer's device, which makes images of this height and
    width of them. For the other settings, and the errors, see `open_cache` and `DeviceImages`.
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
    largest = 2 * min(device_size)
    if not 0 < side <= largest:
        what = "data.device_cache samples bilinearly, which takes images of at most twice their size"
        raise ConfigError(f"{what}: set data.decode_side to {largest} or less.")
    for split in splits:
        check_plannable(split.transform)
    device = trainer.strategy.root_device
    return Loading(f"{note}, copied to {device}", DeviceImages(cache, device, device_size)), stores
