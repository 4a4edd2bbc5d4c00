from pathlib import Path

import pytest

from lightning_tasks.__main__ import console
from lightning_tasks.data.images.opencv import cv2
from tests.fakes import write_multilabel, write_points

CONF = Path(__file__).parents[2] / "conf"


@pytest.mark.parametrize("more", [[], ["--originals", "true"], ["--n", "1"]])
@pytest.mark.parametrize("task", ["labels", "points"])
def test_the_verb_writes_an_image_and_needs_no_weights(task, more, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if task == "labels":
        write_multilabel(Path("data"), ["fname,labels", *(f"{i}.jpg,{'cat' * (i % 2)}" for i in range(8))])
    else:
        write_points(Path("data"), ["fname,l_x,l_y,r_x,r_y", *(f"{i}.jpg,5,6,,{''}" for i in range(8))])
    config = {"labels": "multilabel.yaml", "points": "keypoints.yaml"}[task]
    small = ["--data.root", "data", "--data.size", "32", "--data.batch_size", "4"]
    assert console(["show_batch", "--config", str(CONF / config), *small, "--output", "new/seen.png", *more]) == 0
    assert cv2.imread("new/seen.png").std() > 5
    assert {path.name for path in tmp_path.iterdir()} == {"data", "new"}


def test_mistakes_are_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    config = ["--config", str(CONF / "multilabel.yaml")]
    assert console(["show_batch", *config, "--data.root", "nowhere"]) == 2
    assert console(["show_batch", *config, "--data.root", "nowhere", "--n", "0"]) == 2
    assert "--n is 0" in capsys.readouterr().err
    assert console(["show_batch", "--model", "tests.own_classes.OwnModel", "--data", "tests.own_classes.OwnData"]) == 2
    assert "OwnData is of none of the tasks" in capsys.readouterr().err
