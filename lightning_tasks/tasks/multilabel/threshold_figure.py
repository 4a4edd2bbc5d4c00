"""The accuracy at each threshold, as a figure."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from lightning_tasks.reports.grid import GREEN
from lightning_tasks.tasks.multilabel.thresholds import CURVE, best_of_curve


def threshold_figure(accuracies: Sequence[float], all_negative: float) -> Figure:
    """Draw fastai's curve, the best threshold on it, and what any of them must beat.

    Args:
        accuracies: over cells, at each of the 29 thresholds.
        all_negative: the accuracy of predicting no label at all.
    """
    best = best_of_curve(accuracies)
    highest = accuracies[CURVE.index(best)]
    figure = Figure(figsize=(6, 4), layout="constrained")
    ax = figure.subplots()
    ax.plot(CURVE, accuracies, color="#57606a", linewidth=1.5)
    ax.axhline(all_negative, color="#57606a", linestyle="--", label=f"no label at all  {all_negative:.4f}")
    ax.plot(best, highest, "o", color=GREEN, markersize=8, label=f"best, {highest:.4f} at {best:.2f}")
    ax.set(xlabel="threshold", ylabel="accuracy over cells", xlim=(0, 1))
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.25)
    ax.legend(frameon=False)
    return figure
