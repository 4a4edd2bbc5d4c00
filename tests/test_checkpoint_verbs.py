"""The verbs that a checkpoint alone is enough for, on tiny runs of the command line."""

import csv
from pathlib import Path

import pytest

from lightning_tasks.__main__ import console


def rows(path):
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


def test_predictions_of_labels_are_written(labels_run, monkeypatch):
    folder, ckpt = labels_run
    monkeypatch.chdir(folder)
    assert console(["get_preds", ckpt, "--output", "deep/preds.csv", "--model.threshold", "0.0"]) == 0
    first, second = rows("deep/preds.csv")
    assert first["fname"] == str(Path("root/6.jpg"))
    assert (first["labels"], second["labels"]) == ("dog", "cat")
    assert first["predicted"] == "cat dog"  # all above 0
    assert 0 < float(first["cat"]) < 1


def test_predictions_of_points_are_written_in_the_pixels_on_disk(points_run, monkeypatch, capsys):
    folder, ckpt = points_run
    monkeypatch.chdir(folder)
    assert console(["get_preds", ckpt]) == 0
    for row, number in zip(rows("predictions.csv"), (6, 7), strict=True):
        assert -0.5 <= float(row["l_x"]) <= 31.5  # 32 pixels wide
        assert float(row["l_x_annotated"]) == pytest.approx(5, abs=0.01)
        assert float(row["r_x_annotated"]) == pytest.approx(9 + number, abs=0.01)
        assert float(row["r_y_annotated"]) == pytest.approx(7, abs=0.01)


def test_a_positional_checkpoint_is_as_good_as_a_named_one(labels_run, monkeypatch, capsys):
    folder, ckpt = labels_run
    monkeypatch.chdir(folder)
    said = []
    for way in ([ckpt], ["--ckpt_path", ckpt]):
        assert console(["validate", *way, "--trainer.enable_progress_bar", "false"]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
    assert "val/mAP" in said[0]


def test_a_verb_without_its_checkpoint_says_so(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    assert console(["get_preds", "none.ckpt"]) == 2
    assert "no checkpoint none.ckpt" in capsys.readouterr().err
