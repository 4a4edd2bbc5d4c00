"""The book's crops for labels."""

import math
from typing import Any, NamedTuple

import albumentations as A
import numpy as np
from numpy.typing import NDArray

from lightning_tasks.data.images import Image, Size, resize


class Box(NamedTuple):
    """A part of a picture, in its pixels from edge to edge."""

    left: float
    top: float
    width: float
    height: float


class RandomCropResize(A.RandomResizedCrop):  # type: ignore[misc]  # albumentations ships no types
    """A piece of random area and ratio, resized by `images.resize`: albumentations' own averages five times slower.

    Args:
        size: height and width of the result.
        min_scale: the smallest share of the picture's area.
    """

    def __init__(self, size: Size, min_scale: float = 0.35) -> None:
        super().__init__(size, scale=(min_scale, 1.0), ratio=(3 / 4, 4 / 3))
        self.min_scale = min_scale

    def draw_box(self, shape: Size) -> Box:
        """Draw a piece of a picture of `shape` (height, width)."""
        x_min, y_min, x_max, y_max = self.get_params_dependent_on_data({"shape": shape}, {})["crop_coords"]
        return Box(x_min, y_min, x_max - x_min, y_max - y_min)

    def apply(self, img: Image, crop_coords: tuple[int, int, int, int], **_: Any) -> Image:  # noqa: ANN401 - albumentations'
        """Cut and resize."""
        x_min, y_min, x_max, y_max = crop_coords
        return resize(img[y_min:y_max, x_min:x_max], self.size)


class SquashCrop(A.ImageOnlyTransform):  # type: ignore[misc]  # albumentations ships no types
    """The whole picture squashed a little larger than `size`, then its centre.

    128 px come from 152: `size + ceil(0.14·size/8)·8`, fastai's `RandomResizedCrop` outside training.
    """

    def __init__(self, size: Size) -> None:
        super().__init__(p=1)
        self.size = size
        height, width = (side + math.ceil(0.14 * side / 8) * 8 for side in size)
        self.squashed = (height, width)
        self.top, self.left = (height - size[0]) // 2, (width - size[1]) // 2

    def box(self, shape: Size) -> Box:
        """Return the part that is seen of a picture of `shape` (height, width)."""
        y, x = shape[0] / self.squashed[0], shape[1] / self.squashed[1]
        return Box(self.left * x, self.top * y, self.size[1] * x, self.size[0] * y)

    def apply(self, img: Image, **_: Any) -> Image:  # noqa: ANN401 - albumentations'
        """Squash and cut."""
        squashed = resize(img, self.squashed)
        return squashed[self.top : self.top + self.size[0], self.left : self.left + self.size[1]]


def box_to_source(box: Box, size: Size) -> NDArray[np.float64]:
    """Return the matrix from the pixels of a result of `size` to those of the picture that `box` is a part of."""
    x, y = box.width / size[1], box.height / size[0]
    return np.array([[x, 0, box.left + (x - 1) / 2], [0, y, box.top + (y - 1) / 2], [0, 0, 1]])
