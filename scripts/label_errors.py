"""Put wrong annotations among right ones, and say how many of them `label_errors` finds.

    python scripts/label_errors.py labels --root ../data/pascal_2007 --weights tf_efficientnet_lite0.safetensors
    python scripts/label_errors.py points --root ../data/faces --weights tf_efficientnet_lite0.safetensors

Of labels, 3 % of all cells of the table (an image and a label) are flipped. Of points, 2 % are wrong: half of these are
moved, in any direction, by .2 to .6 of the distance between two points (--between), and half change places with the
point of the other side. A model is trained on the wrong table, as anybody's would be; or --checkpoint names one that
was trained on the right one. What is listed is of the validation split, whose images it has not seen. Everything lies
in --folder: results.json, tables, runs. What was stopped is resumed when it is called again. Further arguments of
`fit`: --args="--data.size 160".
"""

import argparse
import csv
import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from reproducing.facts import machine
from reproducing.recipe import last_checkpoint, train
from reproducing.steps import ROOT, Steps

from lightning_tasks.atomic_write import write_whole
from lightning_tasks.csv_text import write_csv

_FLIPPED, _WRONG, _MOVED_BY = 0.03, 0.02, (0.2, 0.6)
_FIRST = 100
_TABLES = {"labels": "train.csv", "points": "points.csv"}
_CONFIGS = {"labels": ("pascal", "linear"), "points": ("keypoints", "heatmap", "face68", "faces")}

Cell = tuple[str, str]  # an image, and one of its labels or points


class Table(NamedTuple):
    """A csv; its rows by column."""

    header: list[str]
    rows: list[dict[str, str]]


def main() -> None:
    """Make every step that is not there yet, then write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=list(_CONFIGS))
    parser.add_argument("--root", required=True, help="the data's folder")
    parser.add_argument("--weights", help="a file of the backbone's weights, where they cannot be fetched")
    parser.add_argument("--checkpoint", type=Path, help="a model, in place of one that is trained here")
    parser.add_argument("--backbone", default="tf_efficientnet_lite0")
    parser.add_argument("--folder", type=Path, help="for everything that is written; label_errors/TASK")
    parser.add_argument("--seed", type=int, default=0, help="of what is made wrong")
    parser.add_argument("--between", nargs=2, default=["p36", "p45"], metavar="POINT")
    parser.add_argument("--args", default="", help="further arguments of fit")
    given = parser.parse_args()

    folder = given.folder or Path("label_errors") / given.task
    arguments = [
        *(part for name in _CONFIGS[given.task] for part in ("--config", str(ROOT / "conf" / f"{name}.yaml"))),
        *("--data.root", given.root, "--data.csv", str((folder / "wrong.csv").absolute())),
        *("--model.backbone", given.backbone, *(["--model.weights", given.weights] if given.weights else [])),
        *("--runs_dir", str(folder / "runs"), "--trainer.enable_progress_bar", "false", *given.args.split()),
    ]
    steps = Steps(folder, {"arguments": arguments, "seed": given.seed, "between": given.between})
    table, rng = read_table(Path(given.root) / _TABLES[given.task]), np.random.default_rng(given.seed)
    if given.task == "labels":
        cells, wrong = flip_labels(table, rng)
    else:
        cells, wrong = move_points(table, rng, given.between, swap_pairs())
    write_csv(folder / "wrong.csv", [table.header, *([row[name] for name in table.header] for row in table.rows)])
    if given.checkpoint is None:
        steps.take("train", lambda: train(steps, 42, arguments, "wrong"))
    checkpoint, listed = given.checkpoint or last_checkpoint(folder, "wrong"), folder / "label_errors.csv"
    data = ["--data.root", given.root, "--data.csv", str((folder / "wrong.csv").absolute())]
    verb = ["label_errors", str(checkpoint), *data, "--output", str(listed), "--top", "1000000"]
    steps.take("label_errors", lambda: steps.command("label_errors", verb))
    found = score([(row["fname"], row["what"]) for row in read_table(listed).rows], cells, wrong)
    about = {
        "trained_on": "the wrong table" if given.checkpoint is None else "the right table",
        "configs": _CONFIGS[given.task],
        "arguments": given.args,
        "machine": steps.take("machine", machine),
    }
    text = json.dumps({given.task: {**found, **about}}, indent=1) + "\n"
    write_whole(folder / "results.json", lambda new: new.write_text(text, encoding="utf-8"))
    print(json.dumps(found, indent=1))


def read_table(path: Path) -> Table:
    """Return a csv."""
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
        return Table(list(reader.fieldnames or []), rows)


def swap_pairs() -> list[list[str]]:
    """Return which of the usual 68 points of a face change places."""
    config = yaml.safe_load((ROOT / "conf" / "face68.yaml").read_text(encoding="utf-8"))
    pairs: list[list[str]] = config["data"]["init_args"]["swap_pairs"]
    return pairs


def flip_labels(table: Table, rng: np.random.Generator) -> tuple[list[Cell], dict[Cell, str]]:
    """Flip some cells of a table; return the cells of validation, and which are wrong in what way."""
    vocab = sorted({label for row in table.rows for label in row["labels"].split()})
    cells = len(table.rows) * len(vocab)
    wrong: dict[Cell, str] = {}
    for cell in rng.choice(cells, round(_FLIPPED * cells), replace=False).tolist():
        row, label = table.rows[cell // len(vocab)], vocab[cell % len(vocab)]
        labels = set(row["labels"].split())
        wrong[row["fname"], label] = "extra" if label not in labels else "missing"
        row["labels"] = " ".join(sorted(labels ^ {label}))
    return [(row["fname"], label) for row in validated(table) for label in vocab], wrong


def move_points(
    table: Table, rng: np.random.Generator, between: Sequence[str], pairs: Sequence[Sequence[str]]
) -> tuple[list[Cell], dict[Cell, str]]:
    """Move and swap some points; return the points of validation, and which are wrong in what way."""
    names = [name.removesuffix("_x") for name in table.header if name.endswith("_x")]
    wrong: dict[Cell, str] = {}
    count = _WRONG * len(table.rows) * len(names)
    swaps = [(row, pair) for row in table.rows for pair in pairs]
    for swap in rng.choice(len(swaps), round(count / 4), replace=False).tolist():  # each makes two points wrong
        row, (a, b) = swaps[swap]
        for axis in "xy":
            row[f"{a}_{axis}"], row[f"{b}_{axis}"] = row[f"{b}_{axis}"], row[f"{a}_{axis}"]
        wrong |= {(row["fname"], name): "swapped" for name in (a, b)}
    right = [(row, name) for row in table.rows for name in names if (row["fname"], name) not in wrong]
    for point in rng.choice(len(right), round(count / 2), replace=False).tolist():
        row, name = right[point]
        first, second = ([float(row[f"{end}_{axis}"]) for axis in "xy"] for end in between)
        angle, distance = rng.uniform(0, 2 * np.pi), rng.uniform(*_MOVED_BY) * math.dist(first, second)
        for axis, share in (("x", np.cos(angle)), ("y", np.sin(angle))):
            row[f"{name}_{axis}"] = f"{float(row[f'{name}_{axis}']) + share * distance:.2f}"
        wrong[row["fname"], name] = "moved"
    return [(row["fname"], name) for row in validated(table) for name in names], wrong


def validated(table: Table) -> list[dict[str, str]]:
    """Return the rows of validation."""
    return [row for row in table.rows if row["is_valid"] == "True"]


def score(listed: Sequence[Cell], cells: Sequence[Cell], wrong: dict[Cell, str]) -> dict[str, Any]:
    """Return how many of the cells are wrong, and how many of these the first of the listed are."""
    there = {cell: wrong[cell] for cell in cells if cell in wrong}
    first = listed[:_FIRST]
    kinds, found = Counter(there.values()), Counter(there[cell] for cell in first if cell in there)
    return {
        "cells": len(cells),
        "wrong": len(there),
        "chance": len(there) / len(cells),
        "listed": len(listed),
        "precision_of_listed": sum(cell in there for cell in listed) / max(1, len(listed)),
        "found_of_listed": len(there.keys() & set(listed)) / max(1, len(there)),
        "first": len(first),
        "precision_of_first": sum(found.values()) / max(1, len(first)),
        "found_of_first": sum(found.values()) / max(1, len(there)),
        "found_of_first_by_kind": {kind: [found[kind], number] for kind, number in sorted(kinds.items())},
    }


if __name__ == "__main__":
    main()
