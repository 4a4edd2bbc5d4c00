"""Progressive resizing: training begins with small images, which are quick, and ends with those of full size.

Source: Howard, chapter 7 of "Deep Learning for Coders with fastai and PyTorch", 2020.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_tasks.data.images.decode import Size
from lightning_tasks.errors import ConfigError

_STEP = 32  # pixels: what convolutional backbones shrink by


def check_start(start: int | None, size: Size) -> int | None:
    """Return the side to begin with.

    Raises:
        ConfigError: it is not a positive multiple of 32, or not below the smaller side of `size`.
    """
    if start is not None and not (start % _STEP == 0 and 0 < start < min(size)):
        raise ConfigError(
            f"data.start_size is {start}; it must be a multiple of {_STEP} below data.size, whose smaller side is "
            f"{min(size)}."
        )
    return start


def size_of_epoch(epoch: int, epochs: int | None, start: int, size: Size) -> Size:
    """Return height and width of the training images of an epoch.

    The smaller side grows evenly from `start` to that of `size`, in steps of 32 pixels; the last of several epochs has
    `size` itself. Both sides keep their ratio, to the nearest 32.

    Args:
        epoch: from 0.
        epochs: of the run. None or below 0: not known, and all have `size`.
        start: the first epoch's smaller side.
        size: height and width of the last.
    """
    if epochs is None or epochs < 0 or epoch >= epochs - 1:
        return size
    smaller = start + (min(size) - start) * epoch / (epochs - 1)
    height, width = (max(_STEP, round(side * smaller / min(size) / _STEP) * _STEP) for side in size)
    return min(height, size[0]), min(width, size[1])


def downscale(images: Tensor, size: Size) -> Tensor:
    """Return (B, 3, *size) of (B, 3, H, W) uint8 images at least as large, averaged over what a pixel covers."""
    if images.shape[2:] == size:
        return images
    smaller = F.interpolate(images.float(), size, mode="bilinear", antialias=True)
    return smaller.round().to(torch.uint8).contiguous(memory_format=torch.channels_last)
