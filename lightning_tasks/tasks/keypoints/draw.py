"""Images with their points: of a training batch, and beside predicted ones."""

from collections.abc import Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from lightning_tasks.reports.grid import GREEN, RED, Image, batch_grid, grid, loss_lines
from lightning_tasks.tasks.keypoints.dataset import KeypointBatch

_OUTLINE = {"edgecolors": "white", "linewidths": 0.7}
_FEW = 10  # points are drawn larger


def draw_batch(
    batch: KeypointBatch, originals: Sequence[Image] = (), original_points_px: Sequence[Tensor] = ()
) -> Figure:
    """Draw each image with its visible points; on its left the untouched one with its (n, 2), where these are given."""
    figure, axes = batch_grid(batch.images, originals, text_inches=0.3)
    size = torch.tensor([batch.images.shape[-1], batch.images.shape[-2]])
    for ax, points_norm, visible in zip(axes, batch.points_norm, batch.visible, strict=True):
        _draw_points(ax, (points_norm[visible] + 1) * size / 2, GREEN, "o")
        hidden = int((~visible).sum())
        ax.set_title(f"{hidden} not visible" if hidden else " ", fontsize=8)
    for ax, points_px in zip(figure.axes[::2] if originals else (), original_points_px, strict=bool(originals)):
        _draw_points(ax, points_px, GREEN, "o")
    return figure


def draw_results(
    images: Sequence[Image], targets_px: Tensor, points_px: Tensor, errors_px: Tensor, losses: Sequence[float] = ()
) -> Figure:
    """Draw each image with its annotated points (N, P, 2) as green circles and the predicted ones as red diamonds.

    They are in its pixels; NaN where not visible, and the prediction is then not drawn either. Below stand its loss, if
    given, and the mean of `errors_px` (N, P), how far off the points are on the images on disk.
    """
    figure, axes = grid(images, text_inches=0.5 if losses else 0.3)
    for i, (ax, loss) in enumerate(zip(axes, loss_lines(losses, len(axes)), strict=True)):
        visible = ~targets_px[i].isnan().any(-1)
        for points, colour, marker in ((targets_px[i], GREEN, "o"), (points_px[i], RED, "D")):
            _draw_points(ax, points[visible], colour, marker)
        error = errors_px[i][visible]
        ax.set_xlabel(loss + (f"{error.mean():.1f} px off" if len(error) else "no point"), fontsize=8, parse_math=False)
    figure.suptitle("green circles: annotated    red diamonds: predicted", fontsize=9)
    return figure


def _draw_points(ax: Axes, points_px: Tensor, colour: str, marker: str) -> None:
    ax.autoscale(False)  # or the image would shrink until a point far outside it has room
    x, y = points_px.T
    ax.scatter(x, y, s=36 if len(points_px) < _FEW else 9, c=colour, marker=marker, **_OUTLINE)  # type: ignore[arg-type]  # keywords of one call
