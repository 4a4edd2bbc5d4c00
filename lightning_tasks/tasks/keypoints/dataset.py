"""Rows with points to samples and batches."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import albumentations as A
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_tasks.data.images.cache import ImageStore
from lightning_tasks.data.images.decode import Image, Size
from lightning_tasks.data.loading.dataset import ImageDataset, stack_images
from lightning_tasks.data.transforms.compose import Plan, Points, augment_points, plan_points, scale_points


class KeypointSample(NamedTuple):
    """One image and its points."""

    image: Image | Plan  # (H, W, 3) uint8 RGB; or what the device is to do
    points_norm: NDArray[np.float32]  # (P, 2), 0 where not visible
    visible: NDArray[np.bool_]  # (P,), see `KeypointDataset.keep_outside`
    original_size_px: tuple[int, int]  # width, height
    row: int


class KeypointBatch(NamedTuple):
    """Images with P points each."""

    images: Tensor  # (B, 3, H, W) uint8 RGB, channels_last in memory
    points_norm: Tensor  # (B, P, 2) float32, x and y on the −1..1 scale of the image; 0 where not visible
    visible: Tensor  # (B, P) bool, False where not annotated, and in training where outside the image
    original_size_px: Tensor  # (B, 2) float32, width and height of the image on disk
    rows: Tensor  # (B,) int64, which samples of the data set they are


class KeypointDataset(ImageDataset[KeypointSample]):
    """N images with points (N, P, 2) in pixels, NaN where not annotated; for the rest see `ImageDataset`.

    With `keep_outside`, points outside the transformed image are visible too: to be scored, as they were annotated. In
    training they are not: no output says them, and a crop hides what the model would have to see.
    """

    def __init__(
        self,
        images: ImageStore,
        points_px: NDArray[np.float32],
        transform: A.Compose,
        seed: int,
        *,
        keep_outside: bool = False,
        **kwargs: Any,  # noqa: ANN401 - the parent's
    ) -> None:
        super().__init__(images, transform, seed, **kwargs)
        self.points_px = points_px
        self.keep_outside = keep_outside

    def sample(self, row: int, seed: int) -> KeypointSample:
        """Return a row's sample, transformed by what `seed` says."""
        change: Any
        if self.on_device:
            slot, size, original = self.images.look_up(row)
            change = partial(plan_points, self.transform, slot, size)
        else:
            decoded, original = self.images[row]
            size, change = decoded.shape[:2], partial(augment_points, self.transform, decoded)
        points_px = points_in(self.points_px[row], original, size)
        image, points_px, visible = change(points_px, seed, keep_outside=self.keep_outside)
        points_norm = scale_points(points_px, image.size if self.on_device else image.shape[:2]).astype(np.float32)
        points_norm[~visible] = 0  # never NaN: NaN times a mask of 0 is NaN
        return KeypointSample(image, points_norm, visible, (original[1], original[0]), row)


def collate_keypoints(samples: Sequence[KeypointSample]) -> KeypointBatch:
    """Stack samples into a batch."""
    images, points_norm, visible, sizes_px, rows = zip(*samples, strict=True)
    points, seen = (torch.from_numpy(np.stack(arrays)) for arrays in (points_norm, visible))
    sizes = torch.tensor(sizes_px, dtype=torch.float32)
    return KeypointBatch(stack_images(images), points, seen, sizes, torch.tensor(rows))


def points_in(points_px: Points, original: Size, size: Size) -> Points:
    """Return points of an image of one size in the pixels of the same image at another, the centre of which is ½."""
    if size == original:
        return points_px
    scale = np.array([size[1] / original[1], size[0] / original[0]], dtype=np.float32)
    return np.asarray((points_px + 0.5) * scale - 0.5, dtype=np.float32)
