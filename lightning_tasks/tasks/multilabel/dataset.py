"""Rows with labels to samples and batches."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import albumentations as A
import numpy as np
import torch
from numpy.typing import NDArray

from lightning_tasks.data.images.decode import Image
from lightning_tasks.data.images.store import ImageStore
from lightning_tasks.data.loading.dataset import ImageDataset, stack_images
from lightning_tasks.data.transforms.compose import augment_image
from lightning_tasks.data.transforms.device_plan import Plan, plan_image
from lightning_tasks.tasks.multilabel.batch import MultiLabelBatch


class MultiLabelSample(NamedTuple):
    """One image and its labels."""

    image: Image | Plan  # (H, W, 3) uint8 RGB; or what the device is to do
    target: NDArray[np.float32]  # (C,)
    row: int


class MultiLabelDataset(ImageDataset[MultiLabelSample]):
    """Images with labels.

    Args:
        images: N of them.
        targets: (N, C) float32, 1 where the image has the label.
        transform: what `augment_image` applies.
        seed: of the augmentation, together with epoch and row.
        kwargs: see `ImageDataset`.
    """

    def __init__(
        self,
        images: ImageStore,
        targets: NDArray[np.float32],
        transform: A.Compose,
        seed: int,
        **kwargs: Any,  # noqa: ANN401 - the parent's
    ) -> None:
        super().__init__(images, transform, seed, **kwargs)
        self.targets = targets

    def sample(self, row: int, seed: int) -> MultiLabelSample:
        """Return a row's sample, transformed by what `seed` says."""
        if self.on_device:
            slot, size, _ = self.images.look_up(row)
            return MultiLabelSample(plan_image(self.transform, slot, size, seed), self.targets[row], row)
        image = augment_image(self.transform, self.images[row].image, seed)
        return MultiLabelSample(image, self.targets[row], row)


def collate_multilabel(samples: Sequence[MultiLabelSample]) -> MultiLabelBatch:
    """Stack samples into a batch."""
    return MultiLabelBatch(
        images=stack_images([sample.image for sample in samples]),
        targets=torch.from_numpy(np.stack([sample.target for sample in samples])),
        rows=torch.tensor([sample.row for sample in samples]),
    )
