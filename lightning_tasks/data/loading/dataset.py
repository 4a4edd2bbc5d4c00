"""What the data sets of every task share: order, seeds and stacked images."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import albumentations as A
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from lightning_tasks.batch import Batch, Planned, PlannedBatch, TargetBatch
from lightning_tasks.data.images.cache import ImageStore
from lightning_tasks.data.images.decode import Image
from lightning_tasks.data.loading.oversampling import RepeatFactors, draw_rows
from lightning_tasks.data.loading.skipping import Skipped
from lightning_tasks.data.transforms.compose import Plan, augment_image, plan_image


class EpochIndex(NamedTuple):
    """Which sample, and in which epoch: augmentation depends on these and on nothing else."""

    epoch: int
    row: int
    again: int = 0  # how often the epoch has had the row already


@dataclass(eq=False, repr=False)
class EpochSampler(Sampler[EpochIndex]):
    """Yield every sample once an epoch, shuffled or in order, together with the epoch.

    The order is a function of (seed, epoch), so it is the same for any number of workers. With several processes each
    yields its share of that order: when shuffling, shares of equal length (the processes step together); else every
    sample exactly once. With `repeat_factors` (see `oversampling`) an epoch is as long, but has some samples several
    times and others not at all.
    """

    n: int
    shuffle: bool
    seed: int
    rank: int = 0
    world_size: int = 1
    repeat_factors: RepeatFactors | None = None  # (n,), when shuffling
    epoch: int = field(default=0, init=False)
    _resumed: EpochIndex = field(default=EpochIndex(0, 0), init=False)

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before each epoch."""
        self.epoch = epoch

    def resume(self, epoch: int, rows: int) -> None:
        """Continue with `epoch`, of which this process has already had `rows`; later epochs are whole."""
        self.epoch = epoch
        self._resumed = EpochIndex(epoch, rows)

    def __iter__(self) -> Iterator[EpochIndex]:
        order, again = np.arange(self.n), np.zeros(self.n, dtype=np.int64)
        if self.shuffle:
            generator = np.random.default_rng((self.seed, self.epoch))
            if self.repeat_factors is None:
                order = generator.permutation(self.n)
            else:
                order, again = draw_rows(self.repeat_factors, generator)
        used = self.n - self.n % self.world_size if self.shuffle else self.n
        resumed = self._resumed.row if self.epoch == self._resumed.epoch else 0
        share = np.arange(self.rank, used, self.world_size)[resumed:]
        return (EpochIndex(self.epoch, int(order[i]), int(again[i])) for i in share)

    def __len__(self) -> int:
        return self.n // self.world_size if self.shuffle else len(range(self.rank, self.n, self.world_size))


Sample = TypeVar("Sample")


@dataclass(eq=False, repr=False)
class ImageDataset(Dataset[Sample], ABC):
    """N images and what is annotated of them."""

    images: ImageStore
    transform: A.Compose  # of a sample
    seed: int  # of the augmentation, together with epoch and row
    groups: Sequence[str] = ()  # N names (people, say), or none
    on_device: bool = False  # samples hold plans in place of images, which are looked up in a cache
    skipped: Skipped | None = None  # where images are noted that cannot be read and that a loader skips; None: none are

    @abstractmethod
    def sample(self, row: int, seed: int) -> Sample:
        """Return a row's sample, transformed by what `seed` says."""

    def __getitem__(self, key: int | EpochIndex) -> Sample:
        index = key if isinstance(key, EpochIndex) else EpochIndex(0, int(key))
        return self.sample(index.row, sample_seed(self.seed, *index))

    @property
    def paths(self) -> Sequence[Path]:
        """The N files."""
        return self.images.paths

    def __len__(self) -> int:
        return len(self.images)


class TargetSample(NamedTuple):
    """One image and its row of targets."""

    image: Image | Plan  # (H, W, 3) uint8 RGB; or what the device is to do
    target: NDArray[np.float32]  # (T,)
    row: int


class TargetDataset(ImageDataset[TargetSample]):
    """Images with targets (N, T) float32 that no transform changes; for the other arguments see `ImageDataset`."""

    def __init__(self, images: ImageStore, targets: NDArray[np.float32], *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(images, *args, **kwargs)
        self.targets = targets

    def sample(self, row: int, seed: int) -> TargetSample:
        """Return a row's sample, its image transformed by what `seed` says."""
        if self.on_device:
            slot, size, _ = self.images.look_up(row)
            return TargetSample(plan_image(self.transform, slot, size, seed), self.targets[row], row)
        return TargetSample(augment_image(self.transform, self.images[row].image, seed), self.targets[row], row)


def collate_targets(samples: Sequence[TargetSample]) -> TargetBatch:
    """Stack samples into a batch."""
    images, targets, rows = zip(*samples, strict=True)
    return TargetBatch(stack_images(images), torch.from_numpy(np.stack(targets)), torch.tensor(rows))


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


def sample_seed(seed: int, epoch: int, row: int, again: int = 0) -> int:
    """Return the seed of what happens to a row in an epoch, of which it may be there several times: see EpochIndex."""
    key = (seed, epoch, row, again) if again else (seed, epoch, row)
    return int(np.random.SeedSequence(key).generate_state(1)[0])
