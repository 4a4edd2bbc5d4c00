"""The verbs that a checkpoint alone is enough for, on tiny runs of the command line."""

import csv
import os
import re
from pathlib import Path

import pytest

from lightning_tasks.__main__ import console
from lightning_tasks.data.opencv import cv2
from tests.fakes import FLAGS, LABELS, POINTS, write_multilabel, write_points

CONF = Path(__file__).parents[1] / "conf"


def train(folder, config, *more):
    """Train for an epoch, in `folder`, and return the checkpoint's path."""
    here = Path.cwd()
    os.chdir(folder)
    try:
        tiny = [
            "--data.root",
            "root",
            "--data.size",
            "[32,40]",
            "--data.batch_size",
            "4",
            "--model.pretrained",
            "false",
        ]
        args = ["fit", "--config", str(CONF / config), *FLAGS, *tiny, "--trainer.max_epochs", "1", *more]
        assert console(args) == 0
        return str(next(Path("runs").glob("*/version_0/checkpoints/best.ckpt")))
    finally:
        os.chdir(here)


@pytest.fixture(scope="module")
def labels_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labels")
    write_multilabel(folder / "root", LABELS)
    return folder, train(folder, "multilabel.yaml")


@pytest.fixture(scope="module")
def points_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("points")
    write_points(folder / "root", [line.replace("7,7", ",7").replace(",,7", ",,") for line in POINTS])
    return folder, train(folder, "keypoints.yaml")


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


def test_results_are_drawn_in_the_pictures_own_pixels(labels_run, points_run, monkeypatch, capsys):
    for (folder, ckpt), more in ((labels_run, ["--grad_cam", "dog"]), (points_run, [])):
        monkeypatch.chdir(folder)
        assert console(["show_results", ckpt, "--output", "deep/seen.png", "--data.num_workers", "0"]) == 0
        assert console(["show_results", ckpt, "--n", "1", "--worst", "true", *more, "--data.num_workers", "0"]) == 0
        printed = capsys.readouterr().out
        assert len(re.findall(r"^loss [0-9.]+ +root/[67].jpg$", printed, re.MULTILINE)) == 1
        both, one = cv2.imread("deep/seen.png"), cv2.imread("show_results.png")
        assert both.std() > 5
        assert both.shape[1] > one.shape[1] * 1.5


def test_the_worst_are_those_whose_predictions_are(points_run, monkeypatch, capsys):
    folder, ckpt = points_run
    monkeypatch.chdir(folder)
    assert console(["show_results", ckpt, "--worst", "true"]) == 0
    losses = dict(reversed(line.split()[1:]) for line in capsys.readouterr().out.splitlines() if line[:5] == "loss ")
    assert list(losses.values()) == sorted(losses.values(), key=float, reverse=True)
    assert console(["get_preds", ckpt]) == 0
    for row in rows("predictions.csv"):
        pairs = [(float(row[name]), float(row[f"{name}_annotated"])) for name in ("l_x", "l_y", "r_x", "r_y")]
        sides = (32, 24, 32, 24)  # pixels that are 2 on the −1..1 scale
        mean = sum((2 * (a - b) / side) ** 2 for (a, b), side in zip(pairs, sides, strict=True)) / 4
        assert float(losses[row["fname"]]) == pytest.approx(mean, rel=0.01)


@pytest.mark.parametrize(
    ("more", "part"),
    [(["--n", "0"], "--n is 0"), (["--grad_cam", "dgo"], "Did you mean dog?"), (["--split", "test"], "no test table")],
)
def test_what_cannot_be_shown_is_told(labels_run, more, part, monkeypatch, capsys):
    folder, ckpt = labels_run
    monkeypatch.chdir(folder)
    assert console(["show_results", ckpt, *more]) == 2
    assert part in capsys.readouterr().err


def test_a_verb_without_its_checkpoint_says_so(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    assert console(["get_preds", "none.ckpt"]) == 2
    assert "no checkpoint none.ckpt" in capsys.readouterr().err
