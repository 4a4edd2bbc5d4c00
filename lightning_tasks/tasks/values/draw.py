"""Images with their numbers: of a training batch, and beside predicted ones."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from torch import Tensor

from lightning_tasks.batch import TargetBatch
from lightning_tasks.reports.grid import Image, batch_grid, grid, loss_lines

_MOST = 4  # targets below an image


def draw_batch(batch: TargetBatch, names: Sequence[str], originals: Sequence[Image] = ()) -> Figure:
    """Draw each image with its numbers above.

    Args:
        batch: B augmented images.
        names: of the T targets.
        originals: the same B images untouched, to stand on the left of each; none: without.
    """
    figure, axes = batch_grid(batch.images, originals, text_inches=0.35)
    for ax, values in zip(axes, batch.targets.tolist(), strict=True):
        known = [f"{name} {value:.4g}" for name, value in zip(names, values, strict=True) if value == value]
        ax.set_title(", ".join(known[:_MOST]) or "nothing known", fontsize=9, parse_math=False)
    return figure


def draw_results(
    images: Sequence[Image], targets: Tensor, predicted: Tensor, names: Sequence[str], losses: Sequence[float] = ()
) -> Figure:
    """Draw each image with a line for each target: the true number and the predicted one.

    Args:
        images: N of them.
        targets: (N, T), NaN where unknown.
        predicted: (N, T).
        names: of the T targets; of many the first ones are written.
        losses: N, to be written below; none: without.
    """
    lines = min(len(names), _MOST)
    figure, axes = grid(images, text_inches=0.2 + 0.17 * (lines + bool(losses)))
    for i, (ax, loss) in enumerate(zip(axes, loss_lines(losses, len(axes)), strict=True)):
        rows = zip(names[:_MOST], targets[i].tolist(), predicted[i].tolist(), strict=False)
        text = "\n".join(f"{name} {'?' if true != true else f'{true:.4g}'} → {found:.4g}" for name, true, found in rows)
        ax.set_xlabel(loss + text, fontsize=8, parse_math=False)
    figure.suptitle("true → predicted", fontsize=9)
    return figure
