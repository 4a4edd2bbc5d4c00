"""What the data sets of every task share: order, seeds and stacked images."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import albumentations as A
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from lightning_tasks.batch import Batch, Planned, PlannedBatch
from lightning_tasks.data.images.decode import Image
from lightning_tasks.data.images.store import ImageStore
from lightning_tasks.data.loading.skipping import Skipped
from lightning_tasks.data.transforms.device_plan import Plan


class EpochIndex(NamedTuple):
    """Which sample, and in which epoch: augmentation depends on both and on nothing else."""

    epoch: int
    row: int


class EpochSampler(Sampler[EpochIndex]):
    """Yield every sample once an epoch, shuffled or in order, together with the epoch.

    The order is a function of (seed, epoch), so it is the same for any number of workers. With several processes each
    yields its share of that order: when shuffling, shares of equal length (the processes step together); else every
    sample exactly once.
    """

    def __init__(self, n: int, *, shuffle: bool, seed: int, rank: int = 0, world_size: int = 1) -> None:
        self.n = n
        self.shuffle = shuffle
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0
        self._resumed = EpochIndex(0, 0)

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before each epoch."""
        self.epoch = epoch

    def resume(self, epoch: int, rows: int) -> None:
        """Continue with `epoch`, of which this process has already had `rows`; later epochs are whole."""
        self.epoch = epoch
        self._resumed = EpochIndex(epoch, rows)

    def __iter__(self) -> Iterator[EpochIndex]:
        order = np.arange(self.n)
        if self.shuffle:
            order = np.random.default_rng((self.seed, self.epoch)).permutation(self.n)
            order = order[: self.n - self.n % self.world_size]
        share = order[self.rank :: self.world_size]
        if self.epoch == self._resumed.epoch:
            share = share[self._resumed.row :]
        return (EpochIndex(self.epoch, int(row)) for row in share)

    def __len__(self) -> int:
        if self.shuffle:
            return self.n // self.world_size
        return len(range(self.rank, self.n, self.world_size))


Sample = TypeVar("Sample")


class ImageDataset(Dataset[Sample], ABC):
    """Images and what is annotated of them.

    Args:
        images: N of them.
        transform: of a sample.
        seed: of the augmentation, together with epoch and row.
        groups: N names (people, say), or none.
        on_device: samples hold plans in place of images, which are looked up in a cache.
        skipped: where images are noted that cannot be read and that a loader skips; None: it skips none.
    """

    def __init__(
        self,
        images: ImageStore,
        transform: A.Compose,
        seed: int,
        groups: Sequence[str] = (),
        *,
        on_device: bool = False,
        skipped: Skipped | None = None,
    ) -> None:
        self.images = images
        self.transform = transform
        self.seed = seed
        self.groups = groups
        self.on_device = on_device
        self.skipped = skipped

    @abstractmethod
    def sample(self, row: int, seed: int) -> Sample:
        """Return a row's sample, transformed by what `seed` says."""

    def __getitem__(self, key: int | EpochIndex) -> Sample:
        epoch, row = epoch_and_row(key)
        return self.sample(row, sample_seed(self.seed, epoch, row))

    @property
    def paths(self) -> Sequence[Path]:
        """The N files."""
        return self.images.paths

    def __len__(self) -> int:
        return len(self.images)


def collate_planned(collate: Callable[[Sequence[Any]], Batch], samples: Sequence[Any]) -> PlannedBatch:
    """Stack samples that hold plans; `collate` stacks the rest of them."""
    plans = [cast("Plan", sample.image) for sample in samples]
    planned = Planned(
        slots=torch.tensor([plan.slot for plan in plans]),
        to_source=torch.from_numpy(np.stack([plan.to_source for plan in plans])),
        brightness=torch.tensor([plan.brightness for plan in plans], dtype=torch.float32),
        contrast=torch.tensor([plan.contrast for plan in plans], dtype=torch.float32),
    )
    return PlannedBatch(planned, collate(samples))


def stack_images(images: Sequence[Image | Plan]) -> Tensor:
    """Return (B, 3, H, W) uint8, channels_last in memory; empty where the samples hold plans."""
    pixels = [image for image in images if isinstance(image, np.ndarray)]
    if not pixels:
        return torch.empty(0, dtype=torch.uint8)
    # (B, H, W, 3) in memory seen as (B, 3, H, W) is channels_last: nothing is copied twice.
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)


def epoch_and_row(key: int | EpochIndex) -> EpochIndex:
    """Return which sample is meant; a plain index is one of epoch 0."""
    return key if isinstance(key, EpochIndex) else EpochIndex(0, int(key))


def sample_seed(seed: int, epoch: int, row: int) -> int:
    """Return the seed of what happens to a row in an epoch."""
    return int(np.random.SeedSequence((seed, epoch, row)).generate_state(1)[0])
