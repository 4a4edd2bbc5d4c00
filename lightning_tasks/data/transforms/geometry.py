"""Fastai's default transforms, on albumentations: of images and points (`aug_transforms`), and crops (chapter 6)."""

from collections.abc import Sequence

import albumentations as A

from lightning_tasks.data.images.decode import Size
from lightning_tasks.data.transforms.crop import RandomCropResize, SquashCrop
from lightning_tasks.data.transforms.lighting import LogitLighting
from lightning_tasks.data.transforms.warp import JointWarp
from lightning_tasks.errors import ConfigError


def geometry_and_lighting(
    size: Size,
    *,
    flip_p: float = 0.5,
    max_rotate_deg: float = 10.0,
    max_zoom: float = 1.1,
    max_warp: float = 0.2,
    max_lighting: float = 0.2,
    swap_pairs: Sequence[tuple[int, int]] = (),
) -> list[A.BasicTransform]:
    """Return the steps of fastai's training transform, `aug_transforms(size=size)`: geometry and lighting.

    Raises:
        ConfigError: a strength is out of its range.
    """
    if not 0 <= flip_p <= 1:
        raise ConfigError(f"data.flip_p is {flip_p}; it is a probability, from 0 to 1.")
    if max_zoom < 1 or not 0 <= max_lighting < 1 or not 0 <= max_warp < 1:
        raise ConfigError(
            f"data.max_zoom {max_zoom} must be 1 or more; data.max_lighting {max_lighting} and data.max_warp "
            f"{max_warp} at least 0 and below 1."
        )
    warp = JointWarp(size, flip_p, max_rotate_deg, max_zoom, max_warp, swap_pairs=swap_pairs)
    return [warp, LogitLighting(max_lighting)]


def resize_only(size: Size) -> list[A.BasicTransform]:
    """Return the steps of fastai's validation transform: a resize."""
    return [JointWarp(size, flip_p=0, max_rotate_deg=0, max_zoom=1, max_warp=0)]


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
