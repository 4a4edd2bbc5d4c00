"""Training on images smaller than those that validate, throughout or growing to full size: progressive resizing.

Sources: Touvron et al., "Fixing the train-test resolution discrepancy", 2019: a random crop shows things larger than
the whole image does, so a network is better at whole images somewhat larger than its crops. Howard, chapter 7 of "Deep
Learning for Coders with fastai and PyTorch", 2020.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_tasks.data.images.decode import Size
from lightning_tasks.errors import ConfigError

_STEP = 32  # pixels: what convolutional backbones shrink by


def check_start(start: int | None, size: Size) -> int | None:
    """Return the side to begin with, of trainings that end at `size`; raise ConfigError where it cannot be that."""
    if start is not None and not (start % _STEP == 0 and 0 < start < min(size)):
        what = f"it must be a multiple of {_STEP} below data.size or train_size, whose smaller side is {min(size)}"
        raise ConfigError(f"data.start_size is {start}; {what}.")
    return start


class TrainSizes(NamedTuple):
    """How large training images are."""

    start: int | None  # the smaller side in the first epoch; None: they do not grow
    last: Size
    full: Size  # of validation

    @classmethod
    def of(cls, start: int | None, smaller: int | None, full: Size) -> "TrainSizes":
        """Return those of the options `start_size` and `train_size`; raise ConfigError where one cannot be that."""
        last = full
        if smaller is not None:
            if not (smaller % _STEP == 0 and 0 < smaller <= min(full)):
                what = f"it must be a multiple of {_STEP} up to data.size, whose smaller side is {min(full)}"
                raise ConfigError(f"data.train_size is {smaller}; {what}.")
            last = _scaled(full, smaller)
        return cls(check_start(start, last), last, full)

    def made(self, on_device: bool) -> Size:
        """Return the size that their transform makes; a device that transforms makes all images in one size."""
        return self.full if on_device else self.last

    def reduce(self, images: Tensor, epoch: int, epochs: int | None) -> Tensor:
        """Return the training images (B, 3, H, W) uint8 of an epoch as it sees them."""
        if self.start is not None:
            return downscale(images, size_of_epoch(epoch, epochs, self.start, self.last))
        if self.last == self.full:  # or a transform of one's own decides
            return images
        return downscale(images, self.last)


def size_of_epoch(epoch: int, epochs: int | None, start: int, size: Size) -> Size:
    """Return height and width of the training images of an epoch.

    The smaller side grows evenly from `start` to that of `size`, in steps of 32 pixels, and the other with it; the last
    of several epochs has `size` itself, and so have all where their number is not known (None, or below 0).
    """
    if epochs is None or epochs < 0 or epoch >= epochs - 1:
        return size
    smaller = start + (min(size) - start) * epoch / (epochs - 1)
    return _scaled(size, smaller)


def _scaled(size: Size, smaller: float) -> Size:
    height, width = (max(_STEP, round(side * smaller / min(size) / _STEP) * _STEP) for side in size)
    return min(height, size[0]), min(width, size[1])


def downscale(images: Tensor, size: Size) -> Tensor:
    """Return (B, 3, *size) of (B, 3, H, W) uint8 images at least as large, averaged over what a pixel covers."""
    if images.shape[2:] == size:
        return images
    smaller = F.interpolate(images.float(), size, mode="bilinear", antialias=True)
    return smaller.round().to(torch.uint8).contiguous(memory_format=torch.channels_last)
