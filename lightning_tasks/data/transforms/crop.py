"""Crops that resize: fastai's for training, and for validation."""

import math
from typing import Any, NamedTuple

import albumentations as A
import numpy as np
from numpy.typing import NDArray

from lightning_tasks.data.images.decode import Image, Size, resize
from lightning_tasks.data.transforms.device_plan import Plan


class Box(NamedTuple):
    """A part of an image, in its pixels from edge to edge."""

    left: float
    top: float
    width: float
    height: float


class RandomCropResize(A.RandomResizedCrop):  # type: ignore[misc]  # albumentations ships no types
    """A piece of random area and ratio, resized by `images.resize`: albumentations' own averages five times slower.

    Args:
        size: height and width of the result.
        min_scale: the smallest share of the image's area.
        flip_p: how likely the piece is mirrored; fastai's chapter does not.
    """

    def __init__(self, size: Size, min_scale: float = 0.35, flip_p: float = 0.0) -> None:
        super().__init__(size, scale=(min_scale, 1.0), ratio=(3 / 4, 4 / 3))
        self.min_scale = min_scale
        self.flip_p = flip_p

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Draw the piece and whether it is mirrored."""
        drawn: dict[str, Any] = super().get_params_dependent_on_data(params, data)
        return {**drawn, "flipped": self.py_random.random() < self.flip_p if self.flip_p else False}

    def plan(self, plan: Plan) -> Plan:
        """Return the plan with this crop in it; see `PlansForDevice`."""
        drawn = self.get_params_dependent_on_data({"shape": plan.size}, {})
        x_min, y_min, x_max, y_max = drawn["crop_coords"]
        box = Box(x_min, y_min, x_max - x_min, y_max - y_min)
        return plan.warp(box_to_source(box, self.size, drawn["flipped"]), self.size)

    def apply(self, img: Image, crop_coords: tuple[int, int, int, int], flipped: bool, **_: Any) -> Image:  # noqa: ANN401 - albumentations'
        """Cut, resize and mirror."""
        x_min, y_min, x_max, y_max = crop_coords
        piece = resize(img[y_min:y_max, x_min:x_max], self.size)
        return np.ascontiguousarray(piece[:, ::-1]) if flipped else piece


class SquashCrop(A.ImageOnlyTransform):  # type: ignore[misc]  # albumentations ships no types
    """The whole image squashed a little larger than `size`, then its centre.

    128 px come from 152: `size + ceil(0.14·size/8)·8`, fastai's `RandomResizedCrop` outside training.

    Args:
        size: height and width of the result.
        val_xtra: how much larger, fastai's name for it; at 0 the result is the whole image.
    """

    def __init__(self, size: Size, val_xtra: float = 0.14) -> None:
        super().__init__(p=1)
        self.size = size
        height, width = (side + math.ceil(val_xtra * side / 8) * 8 for side in size)
        self.squashed = (height, width)
        self.top, self.left = (height - size[0]) // 2, (width - size[1]) // 2

    def plan(self, plan: Plan) -> Plan:
        """Return the plan with this crop in it; see `PlansForDevice`."""
        y, x = plan.size[0] / self.squashed[0], plan.size[1] / self.squashed[1]
        box = Box(self.left * x, self.top * y, self.size[1] * x, self.size[0] * y)
        return plan.warp(box_to_source(box, self.size), self.size)

    def apply(self, img: Image, **_: Any) -> Image:  # noqa: ANN401 - albumentations'
        """Squash and cut."""
        squashed = resize(img, self.squashed)
        return squashed[self.top : self.top + self.size[0], self.left : self.left + self.size[1]]


def box_to_source(box: Box, size: Size, flipped: bool = False) -> NDArray[np.float64]:
    """Return the matrix from the pixels of a result of `size` to those of the image that `box` is a part of."""
    x, y = box.width / size[1], box.height / size[0]
    matrix = np.array([[x, 0, box.left + (x - 1) / 2], [0, y, box.top + (y - 1) / 2], [0, 0, 1]])
    return matrix @ np.array([[-1, 0, size[1] - 1], [0, 1, 0], [0, 0, 1]]) if flipped else matrix
