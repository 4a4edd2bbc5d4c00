"""Image transforms, joint image-and-point transforms, their plans for a device, and the scale of points.

Positions follow OpenCV: the centre of the top-left pixel is (0, 0), so an image W pixels wide spans −0.5..W − 0.5.
"""

from collections.abc import Sequence
from random import Random
from typing import Any, NamedTuple

import albumentations as A
import numpy as np
from numpy.typing import NDArray

from lightning_tasks.data.images.decode import Image, Size
from lightning_tasks.data.images.opencv import cv2
from lightning_tasks.errors import ConfigError

Points = NDArray[np.float32]  # (P, 2), x and y in pixels, NaN where not annotated
Pairs = Sequence[tuple[int, int]]
_SMALLEST_SIDE = 8


def height_and_width(size: int | Sequence[int]) -> Size:
    """Return one side, or two, as height and width; raise ConfigError where one is below 8 pixels."""
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < _SMALLEST_SIDE:
        raise ConfigError(f"data.size is {size}; no side may be below {_SMALLEST_SIDE} pixels.")
    return height, width


def scale_points(points_px: NDArray[Any], size: Size) -> NDArray[Any]:
    """Scale (..., 2) pixels of an image of `size` (height, width) to −1..1: `2·p/(W, H) − 1`."""
    return np.asarray(points_px * 2 / np.array([size[1], size[0]]) - 1)


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


class Plan(NamedTuple):
    """One image's transform."""

    slot: int  # where in the cache the image is
    size: Size  # height and width of the result
    to_source: NDArray[np.floating] = np.eye(3)  # (3, 3), from the result's pixels to the image's
    swapped: Pairs = ()  # points that change places
    brightness: float = 0.0  # added on the logit scale
    contrast: float = 1.0  # then multiplied by

    def warp(self, to_source: NDArray[np.float64], size: Size, swapped: Pairs = ()) -> "Plan":
        """Return this plan, and then a warp: the (3, 3) matrix from the pixels of what becomes of it, and its size."""
        return self._replace(to_source=self.to_source @ to_source, size=size, swapped=(*self.swapped, *swapped))

    def light(self, brightness: float, contrast: float) -> "Plan":
        """Return this plan, and then other lighting."""
        return self._replace(brightness=self.brightness + brightness / self.contrast, contrast=self.contrast * contrast)


def check_plannable(transform: A.Compose) -> None:
    """Raise ConfigError unless all steps of the transform can plan."""
    for step in transform.transforms:
        if not hasattr(step, "plan"):
            raise ConfigError(
                "data.device_cache does fastai's default transforms on the device, not "
                f"{type(step).__name__}. Leave out the transform, or device_cache."
            )


def plan_image(transform: A.Compose, slot: int, shape: Size, seed: int) -> Plan:
    """Return what `augment_image` would do with this seed to the image of `shape` in a slot."""
    seed_transform(transform, seed)
    transform.py_random.random()  # a Compose with pixels draws whether to apply anything
    plan = Plan(slot, shape)
    for step in transform.transforms:
        plan = step.plan(plan)
    return plan._replace(to_source=plan.to_source.astype(np.float32))


def plan_points(
    transform: A.Compose, slot: int, shape: Size, points_px: Points, seed: int, *, keep_outside: bool
) -> tuple[Plan, Points, NDArray[np.bool_]]:
    """Return what `augment_points` would do, the moved points, and which of them are visible."""
    plan = plan_image(transform, slot, shape, seed)
    annotated = ~np.isnan(points_px).any(axis=-1)
    both = np.column_stack([np.nan_to_num(points_px), annotated]).astype(np.float32)
    moved = move_points(both, plan.to_source.astype(np.float64), plan.swapped)
    points = moved[:, :2]
    return plan, points, moved[:, 2].astype(bool) & (keep_outside | inside(points, plan.size))


def move_points(points: NDArray[np.float32], to_source: NDArray[np.float64], swapped: Pairs) -> NDArray[np.float32]:
    """Return (P, 2 + n) points, x and y first, in the pixels of a warp's result; pairs change places as a whole."""
    moved = points.copy()
    from_source = cv2.invert(to_source)[1]
    moved[:, :2] = cv2.perspectiveTransform(points[None, :, :2].astype(np.float64), from_source)[0]
    order = np.arange(len(moved))
    for left, right in swapped:
        order[[left, right]] = order[[right, left]]
    return moved[order]
