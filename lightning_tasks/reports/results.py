"""Targets beside predictions, drawn on images."""

import textwrap
from collections.abc import Sequence

from matplotlib.figure import Figure
from torch import Tensor

from lightning_tasks.reports.grid import GREEN, RED, Image, draw_points, grid
from lightning_tasks.tasks.multilabel.scores import IGNORED

_MOST_LABELS = 4
_TITLE_WIDTH = 46  # letters of the title's size over an image


def label_results(
    shown: Sequence[Image],
    targets: Tensor,
    probabilities: Tensor,
    vocab: Sequence[str],
    predicted: Tensor,
    losses: Sequence[float] = (),
) -> Figure:
    """Draw each image with its labels above and the predicted ones below, green where both agree.

    Args:
        shown: N images.
        targets: (N, C) of 1, 0 and −1 (which does not count).
        probabilities: (N, C).
        vocab: C labels.
        predicted: (N, C) bool, which labels are said to be there.
        losses: N, to be written below; none: without.
    """
    agree = ((predicted == (targets == 1)) | (targets == IGNORED)).all(1)
    figure, axes = grid(shown, text_inches=0.9)
    for i, (ax, loss) in enumerate(zip(axes, _loss_lines(losses, len(axes)), strict=True)):
        wanted = ", ".join(label for label, target in zip(vocab, targets[i], strict=True) if target == 1)
        ax.set_title(textwrap.fill(wanted, _TITLE_WIDTH) or "no label", fontsize=9, parse_math=False)
        found = [(label, float(p)) for label, p, on in zip(vocab, probabilities[i], predicted[i], strict=True) if on]
        found.sort(key=lambda pair: -pair[1])
        text = "\n".join(f"{label} {p:.2f}" for label, p in found[:_MOST_LABELS]) or "nothing found"
        ax.set_xlabel(loss + text, fontsize=8, parse_math=False, color=GREEN if agree[i] else RED)
    return figure


def point_results(
    shown: Sequence[Image],
    targets_px: Tensor,
    points_px: Tensor,
    errors_px: Tensor,
    losses: Sequence[float] = (),
) -> Figure:
    """Draw each image with its annotated points as green circles and the predicted ones as red diamonds.

    Args:
        shown: N images.
        targets_px: (N, P, 2) in their pixels; NaN where not visible, and the prediction is then not drawn either.
        points_px: (N, P, 2) likewise, predicted.
        errors_px: (N, P), how far off the points are on the images on disk, whose mean is written below.
        losses: N, to be written below; none: without.
    """
    figure, axes = grid(shown, text_inches=0.5 if losses else 0.3)
    for i, (ax, loss) in enumerate(zip(axes, _loss_lines(losses, len(axes)), strict=True)):
        visible = ~targets_px[i].isnan().any(-1)
        for points, colour, marker in ((targets_px[i], GREEN, "o"), (points_px[i], RED, "D")):
            draw_points(ax, points[visible], colour, marker)
        error = errors_px[i][visible]
        ax.set_xlabel(loss + (f"{error.mean():.1f} px off" if len(error) else "no point"), fontsize=8, parse_math=False)
    figure.suptitle("green circles: annotated    red diamonds: predicted", fontsize=9)
    return figure


def heat_results(
    shown: Sequence[Image],
    heat: Tensor,
    label: str,
    targets: Tensor,
    probabilities: Tensor,
    losses: Sequence[float] = (),
) -> Figure:
    """Draw each image under the heat of what speaks for a label, each scaled to its own highest.

    Args:
        shown: N images of height H and width W.
        heat: (N, H, W), 0 or more.
        label: what it is the heat of.
        targets: (N,), 1 where the image has the label.
        probabilities: (N,).
        losses: N, to be written below; none: without.
    """
    figure, axes = grid(shown, text_inches=0.6 if losses else 0.45)
    for i, (ax, loss) in enumerate(zip(axes, _loss_lines(losses, len(axes)), strict=True)):
        ax.imshow(heat[i].numpy(), cmap="magma", alpha=0.5, vmin=0)
        ax.set_title(label if targets[i] == 1 else f"no {label}", fontsize=9, parse_math=False)
        ax.set_xlabel(f"{loss}{label} {probabilities[i]:.2f}", fontsize=8, parse_math=False)
    return figure


def _loss_lines(losses: Sequence[float], n: int) -> list[str]:
    return [f"loss {loss:.3f}\n" for loss in losses] or [""] * n
