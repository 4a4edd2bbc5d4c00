"""The learning-rate finder's curve as a csv, a table and a figure."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from lightning_tasks.atomic_write import put_whole

_COLUMNS = ("lr", "loss", "smoothed_loss")


def write_lr_csv(path: Path, lrs: Sequence[float], losses: Sequence[float], smoothed: Sequence[float]) -> None:
    """Write one row a step."""

    def write(new: Path) -> None:
        with new.open("w", newline="", encoding="ascii") as file:
            writer = csv.writer(file)
            writer.writerow(_COLUMNS)
            writer.writerows(zip(lrs, losses, smoothed, strict=True))

    put_whole(path, write)


def lr_table(lrs: Sequence[float], losses: Sequence[float], smoothed: Sequence[float]) -> str:
    """Return the same in Markdown, for TensorBoard's page of texts."""
    rows = [f"| {lr:.3e} | {loss:.5f} | {mean:.5f} |" for lr, loss, mean in zip(lrs, losses, smoothed, strict=True)]
    return "\n".join([f"| {' | '.join(_COLUMNS)} |", "|---|---|---|", *rows])


def lr_figure(
    lrs: Sequence[float], smoothed: Sequence[float], suggestions: Mapping[str, float], taken: str | None
) -> Figure:
    """Draw the smoothed loss over the rate, with the suggestions marked; the one that is `taken` stands out.

    The axis of losses ends where the run-away would flatten the rest.
    """
    figure = Figure(figsize=(7, 4.3), layout="constrained")
    ax = figure.subplots()
    ax.plot(lrs, smoothed, color="#57606a", linewidth=1.5)
    for (name, lr), colour in zip(suggestions.items(), ("#1a7f37", "#0969da", "#bc4c00", "#8250df"), strict=False):
        nearest = min(range(len(lrs)), key=lambda i: abs(lrs[i] / lr - 1))
        ax.plot(
            lr, smoothed[nearest], "D" if name == taken else "o", markersize=9 if name == taken else 6,
            color=colour, markeredgecolor="white", label=f"{name}  {lr:.2e}{'  (taken)' if name == taken else ''}",
        )  # fmt: skip
    ax.set(xscale="log", xlabel="learning rate", ylabel="smoothed loss")
    finite = [loss for loss in smoothed if math.isfinite(loss)]
    if finite:
        low, high = min(finite), min(max(finite), 1.25 * finite[0])
        margin = 0.06 * (high - low) or 1.0
        ax.set_ylim(low - margin, high + margin)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.25)
    if suggestions:
        ax.legend(frameon=False)
    return figure
