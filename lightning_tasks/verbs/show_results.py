"""Targets beside predictions in the original images' pixels, or the worst of them."""

from lightning_tasks.reports.selection import Results, choose_rows
from lightning_tasks.tasks.split_predictions import SplitPredictions


def show_results(found: SplitPredictions, n: int, worst: bool) -> Results:
    """Draw some images with what is true beside what is predicted.

    Args:
        found: the predictions.
        n: how many images at most.
        worst: those with the highest loss, highest first; else evenly spaced ones.
    """
    losses = found.losses()
    rows = choose_rows(losses, n, worst)
    values = tuple(losses[rows].tolist())
    return Results(found.draw(rows, values if worst else ()), tuple(found.paths[row] for row in rows), values)
