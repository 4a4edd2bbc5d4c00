"""What the book's transforms would do to an image, without its pixels: for a device that does it itself."""

from typing import NamedTuple

import albumentations as A
import numpy as np
from numpy.typing import NDArray

from lightning_tasks.data.images.decode import Size
from lightning_tasks.data.transforms.compose import Points, inside, seed_transform
from lightning_tasks.data.transforms.crop import RandomCropResize, SquashCrop, box_to_source
from lightning_tasks.data.transforms.lighting import LogitLighting
from lightning_tasks.data.transforms.warp import JointWarp
from lightning_tasks.errors import ConfigError

_BOOKS = (RandomCropResize, SquashCrop, JointWarp, LogitLighting)


class Plan(NamedTuple):
    """One image's transform."""

    slot: int  # where in the cache the image is
    to_source: NDArray[np.float32]  # (3, 3), from the result's pixels to the image's
    brightness: float  # added on the logit scale
    contrast: float  # then multiplied by


def check_plannable(transform: A.Compose) -> None:
    """Raise ConfigError unless the transform is made of the book's."""
    for step in transform.transforms:
        if not isinstance(step, _BOOKS):
            raise ConfigError(
                f"data.device_cache does the book's transforms on the device, not {type(step).__name__}. Leave out the "
                "transform, or device_cache."
            )


def plan_image(transform: A.Compose, slot: int, shape: Size, seed: int) -> Plan:
    """Return what `augment_image` would do with this seed to the image of `shape` in a slot."""
    return _plan(transform, slot, shape, seed)[0]


def plan_points(
    transform: A.Compose, slot: int, shape: Size, points_px: Points, seed: int, *, keep_outside: bool
) -> tuple[Plan, Points, NDArray[np.bool_], Size]:
    """Return what `augment_points` would do, the moved points, which of them are visible, and the result's size."""
    plan, warp, flipped = _plan(transform, slot, shape, seed)
    assert warp is not None  # the first of the book's transforms for points
    annotated = ~np.isnan(points_px).any(axis=-1)
    both = np.column_stack([np.nan_to_num(points_px), annotated]).astype(np.float32)
    moved = warp.apply_to_keypoints(both, plan.to_source.astype(np.float64), flipped)
    points = moved[:, :2]
    return plan, points, moved[:, 2].astype(bool) & (keep_outside | inside(points, warp.size)), warp.size


def _plan(transform: A.Compose, slot: int, shape: Size, seed: int) -> tuple[Plan, JointWarp | None, bool]:
    seed_transform(transform, seed)
    transform.py_random.random()  # Compose's own draw: whether to apply anything
    to_source, brightness, contrast = np.eye(3), 0.0, 1.0
    warp, flipped = None, False
    for step in transform.transforms:
        if isinstance(step, RandomCropResize):
            box, mirrored = step.draw(shape)
            to_source = box_to_source(box, step.size, mirrored)
        elif isinstance(step, SquashCrop):
            to_source = box_to_source(step.box(shape), step.size)
        elif isinstance(step, JointWarp):
            warp = step
            drawn = step.get_params_dependent_on_data({"shape": shape}, {})
            to_source, flipped = drawn["to_source"], drawn["flipped"]
        elif isinstance(step, LogitLighting):
            drawn = step.get_params()
            brightness, contrast = drawn["brightness"], drawn["contrast"]
    return Plan(slot, to_source.astype(np.float32), brightness, contrast), warp, flipped
