"""Training images as the model will see them, with what is annotated."""

from collections.abc import Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lightning_tasks.batch import KeypointBatch, MultiLabelBatch
from lightning_tasks.reports.grid import GREEN, Image, draw_points, grid, to_arrays

_BESIDE = 4  # columns, where the untouched images stand beside


def label_batch(batch: MultiLabelBatch, vocab: list[str], originals: Sequence[Image] = ()) -> Figure:
    """Draw each image with its labels above; mixed images with their shares.

    Args:
        batch: B augmented images.
        vocab: the labels of the targets' columns.
        originals: the same B images untouched, to stand on the left of each; none: without.
    """
    figure, axes = _figure(batch.images, originals, text_inches=0.35)
    for ax, target in zip(axes, batch.targets.tolist(), strict=True):
        names = [name if on == 1 else f"{name} {on:.2f}" for name, on in zip(vocab, target, strict=True) if on > 0]
        ax.set_title(", ".join(names) or "no label", fontsize=9, parse_math=False)  # a label may have dollars
    return figure


def point_batch(
    batch: KeypointBatch, originals: Sequence[Image] = (), original_points_px: Sequence[torch.Tensor] = ()
) -> Figure:
    """Draw each image with its visible points.

    Args:
        batch: B augmented images with P points.
        originals: the same B images untouched, to stand on the left of each; none: without.
        original_points_px: their annotated points, (n, 2) each.
    """
    figure, axes = _figure(batch.images, originals, text_inches=0.3)
    size = torch.tensor([batch.images.shape[-1], batch.images.shape[-2]])
    for ax, points_norm, visible in zip(axes, batch.points_norm, batch.visible, strict=True):
        draw_points(ax, (points_norm[visible] + 1) * size / 2, GREEN, "o")
        hidden = int((~visible).sum())
        ax.set_title(f"{hidden} not visible" if hidden else " ", fontsize=8)
    for ax, points_px in zip(figure.axes[::2] if originals else (), original_points_px, strict=bool(originals)):
        draw_points(ax, points_px, GREEN, "o")
    return figure


def _figure(images: torch.Tensor, originals: Sequence[Image], text_inches: float) -> tuple[Figure, list[Axes]]:
    seen = to_arrays(images)
    if not originals:
        return grid(seen, text_inches)
    beside = [image for pair in zip(originals, seen, strict=True) for image in pair]
    figure, axes = grid(beside, text_inches, _BESIDE)
    for ax in axes[::2]:
        ax.set_title("untouched", fontsize=8)
    return figure, axes[1::2]
