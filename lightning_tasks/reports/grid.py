"""Images in rows and columns."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

GREEN, RED = "#1a7f37", "#cf222e"
_INCHES = 3.0
_BESIDE = 4  # columns, where the untouched images stand beside

Image = NDArray[np.uint8]  # (H, W, 3) RGB


def to_arrays(images: Tensor) -> list[Image]:
    """Return (B, 3, H, W) uint8 as a list of images."""
    return [image.permute(1, 2, 0).cpu().numpy() for image in images]


def grid(images: Sequence[Image], text_inches: float, columns: int = 3) -> tuple[Figure, list[Axes]]:
    """Return a figure and its axes, an image in each; a row is as high as its highest needs, with room for text."""
    columns = min(columns, len(images))
    ratios = [image.shape[0] / image.shape[1] for image in images]
    heights = [_INCHES * max(ratios[i : i + columns]) + text_inches for i in range(0, len(images), columns)]
    # A Figure of its own: pyplot would keep it alive, and look for a screen.
    figure = Figure(figsize=(_INCHES * columns, sum(heights)), layout="constrained")
    axes = figure.subplots(len(heights), columns, squeeze=False, height_ratios=heights)
    for ax in axes.flat[len(images) :]:
        ax.remove()
    used = list(axes.flat[: len(images)])
    for ax, image in zip(used, images, strict=True):
        ax.imshow(image)
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    return figure, used


def batch_grid(images: Tensor, originals: Sequence[Image], text_inches: float) -> tuple[Figure, list[Axes]]:
    """Return a figure of (B, 3, H, W) images and their axes, each with the untouched image on its left, where given."""
    augmented = to_arrays(images)
    if not originals:
        return grid(augmented, text_inches)
    figure, axes = grid(
        [image for pair in zip(originals, augmented, strict=True) for image in pair], text_inches, _BESIDE
    )
    for ax in axes[::2]:
        ax.set_title("untouched", fontsize=8)
    return figure, axes[1::2]


def loss_lines(losses: Sequence[float], n: int) -> list[str]:
    """Return the line that says each of n images' loss; empty ones where none are given."""
    return [f"loss {loss:.3f}\n" for loss in losses] or [""] * n
