"""The verb `report` on tiny runs of the command line."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from lightning_tasks.__main__ import console


def rows(path):
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


def tile(page, name):
    return re.search(rf"<dt>{name}</dt><dd>([\d.]+)", page)[1]


def test_the_report_of_labels_has_the_scores_of_the_predictions(labels_run, monkeypatch, capsys):
    folder, ckpt = labels_run
    monkeypatch.chdir(folder)
    assert console(["get_preds", ckpt]) == 0
    found = rows("predictions.csv")
    assert console(["report", ckpt]) == 0
    path = Path(ckpt).parents[1] / "report.html"
    assert f"report           {path}" in capsys.readouterr().out
    page = path.read_text(encoding="utf-8")
    wanted = np.mean([
        average_precision_score([label in row["labels"] for row in found], [float(row[label]) for row in found])
        for label in ("cat", "dog")
    ])  # fmt: skip
    assert float(tile(page, "mAP")) == pytest.approx(wanted, abs=6e-4)
    assert "Loss by epoch: train/loss" in page
    assert "test_resnet" in page
    assert page.count("data:image/jpeg;base64,") == 4  # two images, in the sample and among the worst
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", page)


def test_the_report_of_points_has_the_errors_of_the_predictions(points_run, monkeypatch):
    folder, ckpt = points_run
    monkeypatch.chdir(folder)
    assert console(["get_preds", ckpt]) == 0
    errors = [
        np.hypot(*(float(row[f"{name}_{axis}"]) - float(row[f"{name}_{axis}_annotated"]) for axis in "xy"))
        for row in rows("predictions.csv")
        for name in "lr"
    ]
    assert console(["report", ckpt, "--output", "deep/points.html"]) == 0
    page = Path("deep/points.html").read_text(encoding="utf-8")
    assert float(tile(page, "median error")) == pytest.approx(np.median(errors), abs=0.06)
    assert "Error on validation, in pixels by epoch: val/median_px" in page


def test_a_report_of_what_is_not_there_says_so(labels_run, monkeypatch, capsys):
    folder, ckpt = labels_run
    monkeypatch.chdir(folder)
    assert console(["report", ckpt, "--output", "root"]) == 2
    assert "root cannot be written" in capsys.readouterr().err
    assert console(["report", ckpt, "--split", "test"]) == 2
    assert "no test table" in capsys.readouterr().err


def test_a_training_images_points_would_be_elsewhere(points_run, monkeypatch, capsys):
    folder, ckpt = points_run
    monkeypatch.chdir(folder)
    with pytest.raises(SystemExit):
        console(["report", ckpt, "--split", "train"])
    assert "train" in capsys.readouterr().err
