"""Rows, pictures and transforms to samples and batches."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import albumentations as A
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from lightning_tasks.batch import KeypointBatch, MultiLabelBatch
from lightning_tasks.data.images import Image, read_image
from lightning_tasks.data.transforms import augment_image, augment_points, scale_points


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
        """Go on with `epoch`, of which this process has already had `rows`; later epochs are whole."""
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


class MultiLabelSample(NamedTuple):
    """One picture and its labels."""

    image: Image  # (H, W, 3) uint8 RGB
    target: NDArray[np.float32]  # (C,)
    row: int


class KeypointSample(NamedTuple):
    """One picture and its points."""

    image: Image  # (H, W, 3) uint8 RGB
    points_norm: NDArray[np.float32]  # (P, 2), 0 where not visible
    visible: NDArray[np.bool_]  # (P,)
    original_size_px: tuple[int, int]  # width, height
    row: int


class MultiLabelDataset(Dataset[MultiLabelSample]):
    """Pictures with labels.

    Args:
        paths: N pictures.
        targets: (N, C) float32, 1 where the picture has the label.
        transform: what `augment_image` applies.
        seed: of the augmentation, together with epoch and row.
        groups: N names (people, say), or none.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        targets: NDArray[np.float32],
        transform: A.Compose,
        seed: int,
        groups: Sequence[str] = (),
    ) -> None:
        self.paths = paths
        self.targets = targets
        self.transform = transform
        self.seed = seed
        self.groups = groups

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, key: int | EpochIndex) -> MultiLabelSample:
        epoch, row = _epoch_and_row(key)
        image = augment_image(self.transform, read_image(self.paths[row]), sample_seed(self.seed, epoch, row))
        return MultiLabelSample(image, self.targets[row], row)


class KeypointDataset(Dataset[KeypointSample]):
    """Pictures with points.

    Args:
        paths: N pictures.
        points_px: (N, P, 2) float32 pixels, NaN where not annotated.
        transform: what `augment_points` applies.
        seed: of the augmentation, together with epoch and row.
        groups: N names (people, say), or none.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        points_px: NDArray[np.float32],
        transform: A.Compose,
        seed: int,
        groups: Sequence[str] = (),
    ) -> None:
        self.paths = paths
        self.points_px = points_px
        self.transform = transform
        self.seed = seed
        self.groups = groups

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, key: int | EpochIndex) -> KeypointSample:
        epoch, row = _epoch_and_row(key)
        original = read_image(self.paths[row])
        seed = sample_seed(self.seed, epoch, row)
        image, points_px, visible = augment_points(self.transform, original, self.points_px[row], seed)
        height, width = image.shape[:2]
        points_norm = scale_points(points_px, (height, width)).astype(np.float32)
        points_norm[~visible] = 0  # never NaN: NaN times a mask of 0 is NaN
        return KeypointSample(image, points_norm, visible, (original.shape[1], original.shape[0]), row)


def collate_multilabel(samples: Sequence[MultiLabelSample]) -> MultiLabelBatch:
    """Stack samples into a batch."""
    return MultiLabelBatch(
        images=_stack_images([sample.image for sample in samples]),
        targets=torch.from_numpy(np.stack([sample.target for sample in samples])),
        rows=torch.tensor([sample.row for sample in samples]),
    )


def collate_keypoints(samples: Sequence[KeypointSample]) -> KeypointBatch:
    """Stack samples into a batch."""
    return KeypointBatch(
        images=_stack_images([sample.image for sample in samples]),
        points_norm=torch.from_numpy(np.stack([sample.points_norm for sample in samples])),
        visible=torch.from_numpy(np.stack([sample.visible for sample in samples])),
        original_size_px=torch.tensor([sample.original_size_px for sample in samples], dtype=torch.float32),
        rows=torch.tensor([sample.row for sample in samples]),
    )


def _stack_images(images: Sequence[Image]) -> Tensor:
    # (B, H, W, 3) in memory seen as (B, 3, H, W) is channels_last: nothing is copied twice.
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


def _epoch_and_row(key: int | EpochIndex) -> EpochIndex:
    return key if isinstance(key, EpochIndex) else EpochIndex(0, int(key))


def sample_seed(seed: int, epoch: int, row: int) -> int:
    """Return the seed of what happens to a row in an epoch."""
    return int(np.random.SeedSequence((seed, epoch, row)).generate_state(1)[0])
