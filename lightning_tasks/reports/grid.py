"""Images in rows and columns, and points on them."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

GREEN, RED = "#1a7f37", "#cf222e"
_OUTLINE = {"edgecolors": "white", "linewidths": 0.7}
_INCHES = 3.0

Image = NDArray[np.uint8]  # (H, W, 3) RGB


def to_arrays(images: Tensor) -> list[Image]:
    """Return (B, 3, H, W) uint8 as a list of images."""
    return [image.permute(1, 2, 0).cpu().numpy() for image in images]


def grid(shown: Sequence[Image], text_inches: float, columns: int = 3) -> tuple[Figure, list[Axes]]:
    """Return a figure and its axes, an image in each; a row is as high as its highest needs, with room for text."""
    columns = min(columns, len(shown))
    ratios = [image.shape[0] / image.shape[1] for image in shown]
    heights = [_INCHES * max(ratios[i : i + columns]) + text_inches for i in range(0, len(shown), columns)]
    # A Figure of its own: pyplot would keep it alive, and look for a screen.
    figure = Figure(figsize=(_INCHES * columns, sum(heights)), layout="constrained")
    axes = figure.subplots(len(heights), columns, squeeze=False, height_ratios=heights)
    for ax in axes.flat[len(shown) :]:
        ax.remove()
    used = list(axes.flat[: len(shown)])
    for ax, image in zip(used, shown, strict=True):
        ax.imshow(image)
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    return figure, used


def draw_points(ax: Axes, points_px: Tensor, colour: str, marker: str) -> None:
    """Draw (P, 2) points with a white edge, small ones where they are many; none outside the image."""
    ax.autoscale(False)  # or the image would shrink until a point far outside it has room
    x, y = points_px.T
    ax.scatter(x, y, s=36 if len(points_px) < 10 else 9, c=colour, marker=marker, **_OUTLINE)  # type: ignore[arg-type]  # keywords of one call
