"""Rows with points to samples and batches."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import albumentations as A
import numpy as np
import torch
from numpy.typing import NDArray

from lightning_tasks.data.images.decode import Image, Size
from lightning_tasks.data.images.store import ImageStore
from lightning_tasks.data.loading.dataset import ImageDataset, stack_images
from lightning_tasks.data.transforms.compose import Points, augment_points, scale_points
from lightning_tasks.data.transforms.device_plan import Plan, plan_points
from lightning_tasks.tasks.keypoints.batch import KeypointBatch


class KeypointSample(NamedTuple):
    """One image and its points."""

    image: Image | Plan  # (H, W, 3) uint8 RGB; or what the device is to do
    points_norm: NDArray[np.float32]  # (P, 2), 0 where not visible
    visible: NDArray[np.bool_]  # (P,), see `KeypointDataset.keep_outside`
    original_size_px: tuple[int, int]  # width, height
    row: int


class KeypointDataset(ImageDataset[KeypointSample]):
    """Images with points.

    Args:
        images: N of them.
        points_px: (N, P, 2) float32 pixels, NaN where not annotated.
        transform: what `augment_points` applies.
        seed: of the augmentation, together with epoch and row.
        keep_outside: points outside the transformed image are visible too: to be scored, as they were annotated. In
            training they are not: no output says them, and a crop hides what the model would have to see.
        kwargs: see `ImageDataset`.
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
        image: Image | Plan
        if self.on_device:
            slot, size, original = self.images.look_up(row)
            points_px = points_in(self.points_px[row], original, size)
            image, points_px, visible = plan_points(
                self.transform, slot, size, points_px, seed, keep_outside=self.keep_outside
            )
            height, width = image.size
        else:
            decoded, original = self.images[row]
            points_px = points_in(self.points_px[row], original, decoded.shape[:2])
            image, points_px, visible = augment_points(
                self.transform, decoded, points_px, seed, keep_outside=self.keep_outside
            )
            height, width = image.shape[:2]
        points_norm = scale_points(points_px, (height, width)).astype(np.float32)
        points_norm[~visible] = 0  # never NaN: NaN times a mask of 0 is NaN
        return KeypointSample(image, points_norm, visible, (original[1], original[0]), row)


def collate_keypoints(samples: Sequence[KeypointSample]) -> KeypointBatch:
    """Stack samples into a batch."""
    return KeypointBatch(
        images=stack_images([sample.image for sample in samples]),
        points_norm=torch.from_numpy(np.stack([sample.points_norm for sample in samples])),
        visible=torch.from_numpy(np.stack([sample.visible for sample in samples])),
        original_size_px=torch.tensor([sample.original_size_px for sample in samples], dtype=torch.float32),
        rows=torch.tensor([sample.row for sample in samples]),
    )


def points_in(points_px: Points, original: Size, size: Size) -> Points:
    """Return points of an image of one size in the pixels of the same image at another, the centre of which is ½."""
    if size == original:
        return points_px
    scale = np.array([size[1] / original[1], size[0] / original[0]], dtype=np.float32)
    return np.asarray((points_px + 0.5) * scale - 0.5, dtype=np.float32)
