"""What transforms would do to an image, without its pixels: for a device that does it itself."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import albumentations as A
import numpy as np
from numpy.typing import NDArray

from lightning_tasks.data.images.decode import Size
from lightning_tasks.data.images.opencv import cv2
from lightning_tasks.data.transforms.compose import Points, inside, seed_transform
from lightning_tasks.errors import ConfigError

Pairs = Sequence[tuple[int, int]]


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


@runtime_checkable
class PlansForDevice(Protocol):
    """A step of a Compose that can say what it would do."""

    def plan(self, plan: Plan) -> Plan:
        """Return the plan of the steps before this one, and then of this one, by the same draws as with pixels."""


def check_plannable(transform: A.Compose) -> None:
    """Raise ConfigError unless all steps of the transform can plan."""
    for step in transform.transforms:
        if not isinstance(step, PlansForDevice):
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
