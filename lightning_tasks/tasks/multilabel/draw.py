"""Images with their labels: of a training batch, beside predicted ones, and where a label comes from."""

import textwrap
from collections.abc import Sequence

from matplotlib.figure import Figure
from torch import Tensor

from lightning_tasks.batch import TargetBatch
from lightning_tasks.reports.grid import GREEN, RED, Image, batch_grid, grid, loss_lines
from lightning_tasks.tasks.multilabel.scores import IGNORED

_MOST_LABELS = 4
_TITLE_WIDTH = 46  # letters of the title's size over an image


def draw_batch(batch: TargetBatch, vocab: Sequence[str], originals: Sequence[Image] = ()) -> Figure:
    """Draw B augmented images with their labels above, mixed ones with their shares; untouched ones on the left."""
    figure, axes = batch_grid(batch.images, originals, text_inches=0.35)
    for ax, target in zip(axes, batch.targets.tolist(), strict=True):
        names = [name if on == 1 else f"{name} {on:.2f}" for name, on in zip(vocab, target, strict=True) if on > 0]
        ax.set_title(", ".join(names) or "no label", fontsize=9, parse_math=False)  # a label may have dollars
    return figure


def draw_results(
    images: Sequence[Image],
    targets: Tensor,
    probabilities: Tensor,
    vocab: Sequence[str],
    predicted: Tensor,
    losses: Sequence[float] = (),
) -> Figure:
    """Draw each of N images with its labels above and the predicted ones below, green where both agree.

    `targets` are (N, C) of 1, 0 and −1 (which does not count), `probabilities` and `predicted` (N, C) too. Losses are
    written below, where there are any.
    """
    agree = ((predicted == (targets == 1)) | (targets == IGNORED)).all(1)
    figure, axes = grid(images, text_inches=0.9)
    for i, (ax, loss) in enumerate(zip(axes, loss_lines(losses, len(axes)), strict=True)):
        wanted = ", ".join(label for label, target in zip(vocab, targets[i], strict=True) if target == 1)
        ax.set_title(textwrap.fill(wanted, _TITLE_WIDTH) or "no label", fontsize=9, parse_math=False)
        found = [(label, float(p)) for label, p, on in zip(vocab, probabilities[i], predicted[i], strict=True) if on]
        found.sort(key=lambda pair: -pair[1])
        text = "\n".join(f"{label} {p:.2f}" for label, p in found[:_MOST_LABELS]) or "nothing found"
        ax.set_xlabel(loss + text, fontsize=8, parse_math=False, color=GREEN if agree[i] else RED)
    return figure


def draw_heat(
    images: Sequence[Image],
    heat: Tensor,
    label: str,
    targets: Tensor,
    probabilities: Tensor,
    losses: Sequence[float] = (),
) -> Figure:
    """Draw each of N images under the heat (N, H, W), 0 or more, of what speaks for a label, scaled to its highest.

    `targets` are (N,), 1 where the image has the label. Losses are written below, where there are any.
    """
    figure, axes = grid(images, text_inches=0.6 if losses else 0.45)
    for i, (ax, loss) in enumerate(zip(axes, loss_lines(losses, len(axes)), strict=True)):
        ax.imshow(heat[i].numpy(), cmap="magma", alpha=0.5, vmin=0)
        ax.set_title(label if targets[i] == 1 else f"no {label}", fontsize=9, parse_math=False)
        ax.set_xlabel(f"{loss}{label} {probabilities[i]:.2f}", fontsize=8, parse_math=False)
    return figure
