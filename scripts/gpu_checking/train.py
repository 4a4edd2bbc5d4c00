"""Both tasks, by their configs, to the end."""

import re
import time
from typing import Any

import pandas as pd

from gpu_checking.step import CONF, Check, Kind, each, run

_ROW = re.compile(r"^ *\d+ .* ([\d.]+)$", re.MULTILINE)  # of the table that a training prints


def train(check: Check) -> None:
    """Train them, and note scores and seconds."""
    fine_tune = ["--config", str(CONF / "fine_tune.yaml")]
    fewer = ["--trainer.callbacks.freeze_epochs", "1", "--trainer.callbacks.epochs", "1"] if check.tiny else []
    each(
        check,
        {
            "labels": lambda: fit(check, "labels", "labels", *fine_tune, *fewer),
            "heatmap": lambda: fit(check, "heatmap", "points"),
        },
    )


def fit(check: Check, kind: Kind, name: str, *more: str) -> dict[str, Any]:
    """Train one task, and return the last epoch's scores and the seconds of each epoch."""
    began = time.perf_counter()
    said = check.command(*check.arguments("fit", kind, name, *more))
    whole_s = time.perf_counter() - began
    metrics = pd.read_csv(check.checkpoint(name).parents[1] / "metrics.csv")
    scores = {column: float(metrics[column].dropna().iloc[-1]) for column in metrics if column.startswith("val/")}
    if not all(value == value for value in scores.values()):
        raise ValueError(f"a score is NaN: {scores}")
    return {"scores": scores, "epochs_s": [float(cell) for cell in _ROW.findall(said)], "fit_s": round(whole_s, 1)}


if __name__ == "__main__":
    run(train)
