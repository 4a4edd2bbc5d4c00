"""Rows, pictures and transforms to samples and batches."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar, cast

import albumentations as A
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from lightning_tasks.batch import KeypointBatch, MultiLabelBatch, Planned, PlannedBatch
from lightning_tasks.data.images import Image, Size
from lightning_tasks.data.pictures import Pictures
from lightning_tasks.data.plan import Plan, plan_image, plan_points
from lightning_tasks.data.skipping import Skipped
from lightning_tasks.data.transforms import Points, augment_image, augment_points, scale_points


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

    image: Image | Plan  # (H, W, 3) uint8 RGB; or what the device is to do
    target: NDArray[np.float32]  # (C,)
    row: int


class KeypointSample(NamedTuple):
    """One picture and its points."""

    image: Image | Plan  # (H, W, 3) uint8 RGB; or what the device is to do
    points_norm: NDArray[np.float32]  # (P, 2), 0 where not visible
    visible: NDArray[np.bool_]  # (P,), see `KeypointDataset.keep_outside`
    original_size_px: tuple[int, int]  # width, height
    row: int


class MultiLabelDataset(Dataset[MultiLabelSample]):
    """Pictures with labels.

    Args:
        pictures: N of them.
        targets: (N, C) float32, 1 where the picture has the label.
        transform: what `augment_image` applies.
        seed: of the augmentation, together with epoch and row.
        groups: N names (people, say), or none.

    Attributes:
        on_device: samples hold plans in place of pictures, which are looked up in a cache.
        skipped: where pictures are noted that cannot be read and that a loader goes on without; None: it does not.
    """

    def __init__(
        self,
        pictures: Pictures,
        targets: NDArray[np.float32],
        transform: A.Compose,
        seed: int,
        groups: Sequence[str] = (),
    ) -> None:
        self.pictures = pictures
        self.on_device = False
        self.skipped: Skipped | None = None
        self.targets = targets
        self.transform = transform
        self.seed = seed
        self.groups = groups

    @property
    def paths(self) -> Sequence[Path]:
        """The N files."""
        return self.pictures.paths

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, key: int | EpochIndex) -> MultiLabelSample:
        epoch, row = _epoch_and_row(key)
        seed = sample_seed(self.seed, epoch, row)
        if self.on_device:
            slot, size, _ = self.pictures.look_up(row)
            plan = plan_image(self.transform, slot, size, seed)
            return MultiLabelSample(plan, self.targets[row], row)
        image = augment_image(self.transform, self.pictures[row].image, seed)
        return MultiLabelSample(image, self.targets[row], row)


class KeypointDataset(Dataset[KeypointSample]):
    """Pictures with points.

    Args:
        pictures: N of them.
        points_px: (N, P, 2) float32 pixels, NaN where not annotated.
        transform: what `augment_points` applies.
        seed: of the augmentation, together with epoch and row.
        groups: N names (people, say), or none.
        keep_outside: points outside the transformed picture are visible too: to be scored, as they were annotated. In
            training they are not: no output says them, and a crop hides what the model would have to see.

    Attributes:
        on_device: samples hold plans in place of pictures, which are looked up in a cache.
        skipped: where pictures are noted that cannot be read and that a loader goes on without; None: it does not.
    """

    def __init__(
        self,
        pictures: Pictures,
        points_px: NDArray[np.float32],
        transform: A.Compose,
        seed: int,
        groups: Sequence[str] = (),
        *,
        keep_outside: bool = False,
    ) -> None:
        self.pictures = pictures
        self.on_device = False
        self.skipped: Skipped | None = None
        self.points_px = points_px
        self.keep_outside = keep_outside
        self.transform = transform
        self.seed = seed
        self.groups = groups

    @property
    def paths(self) -> Sequence[Path]:
        """The N files."""
        return self.pictures.paths

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, key: int | EpochIndex) -> KeypointSample:
        epoch, row = _epoch_and_row(key)
        seed = sample_seed(self.seed, epoch, row)
        image: Image | Plan
        if self.on_device:
            slot, size, original = self.pictures.look_up(row)
            points_px = points_in(self.points_px[row], original, size)
            image, points_px, visible, (height, width) = plan_points(
                self.transform, slot, size, points_px, seed, keep_outside=self.keep_outside
            )
        else:
            picture, original = self.pictures[row]
            points_px = points_in(self.points_px[row], original, picture.shape[:2])
            image, points_px, visible = augment_points(
                self.transform, picture, points_px, seed, keep_outside=self.keep_outside
            )
            height, width = image.shape[:2]
        points_norm = scale_points(points_px, (height, width)).astype(np.float32)
        points_norm[~visible] = 0  # never NaN: NaN times a mask of 0 is NaN
        return KeypointSample(image, points_norm, visible, (original[1], original[0]), row)


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


Sample = TypeVar("Sample", MultiLabelSample, KeypointSample)


def collate_planned(
    collate: Callable[[Sequence[Sample]], MultiLabelBatch | KeypointBatch], samples: Sequence[Sample]
) -> PlannedBatch:
    """Stack samples that hold plans; `collate` stacks the rest of them."""
    slots, matrices, brightness, contrast = zip(*(cast("Plan", sample.image) for sample in samples), strict=True)
    planned = Planned(
        slots=torch.tensor(slots),
        to_source=torch.from_numpy(np.stack(matrices)),
        brightness=torch.tensor(brightness, dtype=torch.float32),
        contrast=torch.tensor(contrast, dtype=torch.float32),
    )
    return PlannedBatch(planned, collate(samples))


def _stack_images(images: Sequence[Image | Plan]) -> Tensor:
    pixels = [image for image in images if isinstance(image, np.ndarray)]
    if not pixels:
        return torch.empty(0, dtype=torch.uint8)
    # (B, H, W, 3) in memory seen as (B, 3, H, W) is channels_last: nothing is copied twice.
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)


def points_in(points_px: Points, original: Size, size: Size) -> Points:
    """Return points of a picture of one size in the pixels of the same picture at another, the centre of which is ½."""
    if size == original:
        return points_px
    scale = np.array([size[1] / original[1], size[0] / original[0]], dtype=np.float32)
    return np.asarray((points_px + 0.5) * scale - 0.5, dtype=np.float32)


def _epoch_and_row(key: int | EpochIndex) -> EpochIndex:
    return key if isinstance(key, EpochIndex) else EpochIndex(0, int(key))


def sample_seed(seed: int, epoch: int, row: int) -> int:
    """Return the seed of what happens to a row in an epoch."""
    return int(np.random.SeedSequence((seed, epoch, row)).generate_state(1)[0])
