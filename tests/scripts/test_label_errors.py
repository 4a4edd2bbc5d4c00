"""Errors that are put into tables: as many as are said, where they are said, and counted by hand."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.fakes import draw_pascal
from tests.scripts import SCRIPTS, run_script, verbs_in_this_process

sys.path.insert(0, str(SCRIPTS))

from label_errors import Table, flip_labels, move_points, score

NAMES = ["nose", "left", "right"]


def test_flipped_cells_are_those_that_differ_from_the_table():
    before = [{"fname": f"{i}.jpg", "labels": "cat dog" if i % 2 else "", "is_valid": str(i >= 25)} for i in range(50)]
    table = Table(list(before[0]), [dict(row) for row in before])
    cells, wrong = flip_labels(table, np.random.default_rng(0))
    differ = {
        (row["fname"], label): "extra" if label in row["labels"] else "missing"
        for row, old in zip(table.rows, before, strict=True)
        for label in ("cat", "dog")
        if (label in row["labels"]) != (label in old["labels"])
    }
    assert wrong == differ
    assert len(wrong) == 3
    assert cells == [(f"{i}.jpg", label) for i in range(25, 50) for label in ("cat", "dog")]


def test_moved_and_swapped_points_are_those_that_differ_from_the_table():
    places = {"nose": (5, 5), "left": (0, 0), "right": (10, 0)}
    row = {f"{name}_{axis}": f"{x:.2f}" for name, place in places.items() for axis, x in zip("xy", place, strict=True)}
    rows = [{"fname": f"{i}.jpg", "is_valid": str(i >= 50), **row} for i in range(100)]
    table = Table(list(rows[0]), rows)
    cells, wrong = move_points(table, np.random.default_rng(0), ["left", "right"], [["left", "right"]])
    assert sorted(wrong.values()) == ["moved"] * 3 + ["swapped"] * 4  # 2 % of 300: 1.5 pairs, rounded, and 3 points
    assert cells == [(f"{i}.jpg", name) for i in range(50, 100) for name in NAMES]
    for found in rows:
        for name in NAMES:
            moved_by = np.hypot(*(float(found[f"{name}_{axis}"]) - float(row[f"{name}_{axis}"]) for axis in "xy"))
            kind = wrong.get((found["fname"], name))
            assert 2 <= moved_by <= 6.01 if kind == "moved" else moved_by == (10 if kind == "swapped" else 0)


def test_what_is_found_is_counted():
    cells = [(f"{i}.jpg", "cat") for i in range(200)]
    wrong = {cells[0]: "extra", cells[1]: "missing", cells[150]: "missing", ("in training.jpg", "cat"): "extra"}
    found = score([cells[1], *cells[2:101], cells[150]], cells, wrong)  # the last is behind the first hundred
    assert {name: found[name] for name in ("cells", "wrong", "listed", "first")} == {
        "cells": 200, "wrong": 3, "listed": 101, "first": 100,
    }  # fmt: skip
    assert (found["chance"], found["precision_of_first"]) == (pytest.approx(0.015), 0.01)
    assert (found["found_of_first"], found["found_of_listed"]) == (pytest.approx(1 / 3), pytest.approx(2 / 3))
    assert found["found_of_first_by_kind"] == {"extra": [0, 1], "missing": [1, 2]}


@pytest.mark.slow
def test_it_trains_on_the_wrong_table_and_asks_the_verb(tmp_path):
    draw_pascal(tmp_path / "pascal", n=100)
    more = "--args=--data.size 64 --data.num_workers 0 --data.batch_size 32 --model.pretrained false"
    with verbs_in_this_process():
        run_script("label_errors.py", "labels", "--root", "pascal", "--backbone", "test_resnet", more, folder=tmp_path)
    found = json.loads(Path(tmp_path, "label_errors/labels/results.json").read_text())["labels"]
    assert (found["cells"], found["trained_on"]) == (125, "the wrong table")
    assert 0 < found["wrong"] < 15
