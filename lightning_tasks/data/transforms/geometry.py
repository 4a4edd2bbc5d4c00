"""Geometry and lighting of images, and of points in them: fastai's `aug_transforms`, on albumentations."""

from collections.abc import Sequence

import albumentations as A

from lightning_tasks.data.images.decode import Size
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
