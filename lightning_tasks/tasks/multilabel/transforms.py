"""The transforms of images with labels: those of fastai's chapter 6 (`RandomResizedCrop`), on albumentations."""

import albumentations as A

from lightning_tasks.data.images.decode import Size
from lightning_tasks.data.transforms.crop import RandomCropResize, SquashCrop
from lightning_tasks.errors import ConfigError


def crop_train(size: Size, min_scale: float = 0.35, flip_p: float = 0.0) -> A.Compose:
    """Fastai's training transform: a crop of random area and ratio, resized to `size`.

    Raises:
        ConfigError: `min_scale`, the smallest share of the image, or `flip_p` does not lie between 0 and 1.
    """
    if not 0 < min_scale <= 1:
        raise ConfigError(f"data.min_scale is {min_scale}; it is a share of the image, above 0 and up to 1.")
    if not 0 <= flip_p <= 1:
        raise ConfigError(f"data.flip_p is {flip_p}; it is a probability, from 0 to 1.")
    return A.Compose([RandomCropResize(size, min_scale, flip_p)])


def crop_valid(size: Size, val_xtra: float = 0.14) -> A.Compose:
    """Fastai's validation transform: the whole image squashed a little larger, then its centre.

    Raises:
        ConfigError: `val_xtra`, how much larger, is below 0 or above 1.
    """
    if not 0 <= val_xtra <= 1:
        raise ConfigError(f"data.val_xtra is {val_xtra}; it is a share of the side, from 0 (no crop) to 1.")
    return A.Compose([SquashCrop(size, val_xtra)])
