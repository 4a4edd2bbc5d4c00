"""Image transforms, joint image-and-point transforms, and the scale of points.

Positions follow OpenCV: the centre of the top-left pixel is (0, 0), so an image W pixels wide spans −0.5..W − 0.5.
"""

from collections.abc import Sequence
from random import Random
from typing import Any

import albumentations as A
import numpy as np
from numpy.typing import NDArray

from lightning_tasks.data.images.decode import Image, Size
from lightning_tasks.errors import ConfigError

Points = NDArray[np.float32]  # (P, 2), x and y in pixels, NaN where not annotated
_SMALLEST_SIDE = 8


def height_and_width(size: int | Sequence[int]) -> Size:
    """Return one side, or two, as height and width.

    Raises:
        ConfigError: a side is below 8 pixels.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < _SMALLEST_SIDE:
        raise ConfigError(f"data.size is {size}; no side may be below {_SMALLEST_SIDE} pixels.")
    return height, width


def scale_points(points_px: NDArray[Any], size: Size) -> NDArray[Any]:
    """Scale (..., 2) pixels of an image of `size` (height, width) to −1..1: `2·p/(W, H) − 1`."""
    return np.asarray(points_px * 2 / np.array([size[1], size[0]]) - 1)


def unscale_points(points_norm: NDArray[Any], size: Size) -> NDArray[Any]:
    """Scale (..., 2) from −1..1 back to pixels of an image of `size` (height, width): `(p + 1)·(W, H)/2`."""
    return np.asarray((points_norm + 1) * np.array([size[1], size[0]]) / 2)


def seed_transform(transform: A.Compose, seed: int) -> None:
    """Let the transform draw from `seed`, all its steps from one stream: albumentations' own would repeat in each."""
    transform.set_random_state(np.random.default_rng(seed), Random(seed))


def augment_image(transform: A.Compose, image: Image, seed: int) -> Image:
    """Return the transformed image; the same seed gives the same one."""
    seed_transform(transform, seed)
    return _uint8(transform(image=image)["image"])


def augment_points(
    transform: A.Compose, image: Image, points_px: Points, seed: int, *, keep_outside: bool = False
) -> tuple[Image, Points, NDArray[np.bool_]]:
    """Transform an image and its points together; their number and order never change.

    Returns:
        The image; the points (P, 2) in its pixels, also those outside it; and which of them are visible (P,):
        annotated, and inside the new image, or anywhere if `keep_outside`.

    Raises:
        ConfigError: the transform lost or multiplied points.
    """
    annotated: NDArray[np.bool_] = np.asarray(~np.isnan(points_px).any(axis=-1))
    filled = points_px if annotated.all() else np.nan_to_num(points_px)
    seed_transform(transform, seed)
    # `slot` follows the points through transforms that swap them, such as a flip with left and right.
    result = transform(image=image, keypoints=filled, slot=np.arange(len(points_px)))
    if len(result["keypoints"]) != len(points_px):
        raise ConfigError(
            f"The transform turned {len(points_px)} points into {len(result['keypoints'])}. Give its Compose "
            "keypoint_params=KeypointParams('xy', remove_invisible=False, label_fields=['slot']) and use no reflecting "
            "border that multiplies points."
        )
    transformed = _uint8(result["image"])
    moved = np.asarray(result["keypoints"], dtype=np.float32)[:, :2]
    source = np.asarray(result["slot"], dtype=np.float64).round().astype(np.int64)
    return transformed, moved, annotated[source] & (keep_outside | inside(moved, transformed.shape[:2]))


def inside(points_px: Points, size: Size) -> NDArray[np.bool_]:
    """Return which of (P, 2) points lie in an image of `size` (height, width)."""
    within = (points_px >= -0.5) & (points_px <= np.array([size[1], size[0]], dtype=np.float32) - 0.5)
    return np.asarray(within.all(axis=-1))


def _uint8(image: NDArray[Any]) -> Image:
    if image.dtype != np.uint8:
        raise ConfigError(
            f"The transform returned {image.dtype} pixels, not uint8. The model normalises: take that out."
        )
    return image


def compose_points(transforms: Sequence[A.BasicTransform]) -> A.Compose:
    """Return a Compose that keeps every point, for `augment_points`."""
    return A.Compose(
        list(transforms),
        keypoint_params=A.KeypointParams(format="xy", remove_invisible=False, label_fields=["slot"]),
        is_check_shapes=False,  # of masks, which there are none of
    )
