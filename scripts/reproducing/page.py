"""The page of a reproduction: every number beside the printed one."""

import math
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader

from reproducing import printed

_HERE = Path(__file__).parent
_TITLES = {"pascal": "Labels: PASCAL VOC 2007", "biwi": "Points: the head's centre"}


def page(task: str, results: dict[str, Any]) -> str:
    """Return the page of a half, `pascal` or `biwi`; images lie beside it."""
    environment = Environment(loader=FileSystemLoader(_HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    tables = _label_tables(results) if task == "pascal" else _point_tables(results)
    return environment.get_template("page.html.j2").render(title=_TITLES[task], tables=tables, results=results)


def _label_tables(results: dict[str, Any]) -> list[dict[str, Any]]:
    trainings = results["trainings"]
    losses = _epochs(trainings, "val/loss", {printed.WALKTHROUGH: printed.PASCAL_LOSS})
    accuracies = _epochs(trainings, "val/accuracy", {printed.WALKTHROUGH: printed.PASCAL_ACCURACY})
    whose = (printed.WALKTHROUGH, printed.BOOK, printed.READER)
    thresholds = [
        [
            f"{t:g}",
            *(_number(one["thresholds"][str(t)]) for one in trainings.values()),
            *(theirs.get(w, "") for w in whose),
        ]
        for t, theirs in printed.PASCAL_THRESHOLDS.items()
    ]
    best = {who: f"{accuracy} at {t}" for who, (t, accuracy) in printed.PASCAL_BEST.items()}
    ours = [f"{_number(one['best_accuracy'])} at {one['best_threshold']:.2f}" for one in trainings.values()]
    nothing = [_number(one["predicting_nothing"]) for one in trainings.values()]
    thresholds += [
        ["best of 29", *ours, *(best.get(who, "") for who in whose)],
        ["predicting nothing", *nothing, "", "", ""],
        ["mAP", *(_number(one["mAP"]) for one in trainings.values()), "", "", ""],
    ]
    head = ["", *(f"seed {seed}" for seed in trainings), *whose]
    return [
        _table("Validation loss by epoch", *losses),
        _table("Accuracy at .2 by epoch", *accuracies),
        _table("Accuracy by threshold, after the last epoch", head, thresholds),
    ]


def _point_tables(results: dict[str, Any]) -> list[dict[str, Any]]:
    trainings = results["trainings"]
    pixels = [[name, *(f"{one[name]:.1f}" for one in trainings.values())] for name in ("median_px", "p95_px")]
    return [
        _table("Validation MSE by epoch", *_epochs(trainings, "val/loss", printed.BIWI_LOSS)),
        _table(
            "Error in the images' own pixels, after the last epoch", ["", *(f"seed {s}" for s in trainings)], pixels
        ),
    ]


def _epochs(trainings: dict[str, Any], score: str, theirs: dict[str, tuple[float, ...]]) -> tuple[list[str], list[Any]]:
    """Return the head and the rows of a table with a row an epoch."""
    head = ["epoch", *(f"seed {seed}" for seed in trainings), *theirs, "seconds"]
    ours = [one["epochs"] for one in trainings.values()]
    rows = []
    for epoch in range(max(map(len, ours))):
        cells = [_number(table[epoch].get(score)) if epoch < len(table) else "" for table in ours]
        printed_ones = [_number(values[epoch]) if epoch < len(values) else "" for values in theirs.values()]
        seconds = ", ".join(f"{table[epoch]['seconds']:.0f}" for table in ours if epoch < len(table))
        rows.append([epoch, *cells, *printed_ones, seconds])
    return head, rows


def _table(title: str, head: list[str], rows: list[Any]) -> dict[str, Any]:
    return {"title": title, "head": head, "rows": rows}


def _number(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.4f}" if value >= 0.01 else f"{value:.6f}"
