from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_tasks.reports.show_batch import label_batch, point_batch

from lightning_tasks.__main__ import console
from lightning_tasks.data.images.opencv import cv2
from lightning_tasks.tasks.keypoints.batch import KeypointBatch
from lightning_tasks.tasks.multilabel.batch import MultiLabelBatch
from tests.fakes import write_multilabel, write_points

CONF = Path(__file__).parents[2] / "conf"


def images(n):
    return torch.zeros(n, 3, 24, 32, dtype=torch.uint8)


def test_labels_stand_above_and_mixed_ones_with_their_shares():
    batch = MultiLabelBatch(images(3), torch.tensor([[1.0, 1], [0, 0], [0.25, 0.75]]), torch.arange(3))
    figure = label_batch(batch, ["cat", "dog"])
    assert [ax.get_title() for ax in figure.axes] == ["cat, dog", "no label", "cat 0.25, dog 0.75"]


def test_untouched_images_stand_beside():
    untouched = [np.full((40, 20, 3), shade, np.uint8) for shade in (1, 2)]
    figure = label_batch(MultiLabelBatch(images(2), torch.eye(2), torch.arange(2)), ["a", "b"], untouched)
    assert [ax.get_title() for ax in figure.axes] == ["untouched", "a", "untouched", "b"]
    assert [int(ax.images[0].get_array().max()) for ax in figure.axes] == [1, 0, 2, 0]


def test_points_are_drawn_where_they_are_and_hidden_ones_not():
    points = torch.tensor([[[-1.0, -1.0], [0.5, 0.0]]])
    batch = KeypointBatch(images(1), points, torch.tensor([[False, True]]), torch.ones(1, 2), torch.zeros(1))
    untouched, place = np.zeros((48, 64, 3), np.uint8), torch.tensor([[7.0, 9.0]])
    beside, (seen,) = point_batch(batch, [untouched], [place]).axes[0], point_batch(batch).axes
    assert seen.collections[0].get_offsets().tolist() == [[24, 12]]
    assert seen.get_title() == "1 not visible"
    assert beside.collections[0].get_offsets().tolist() == [[7, 9]]


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
    assert "not the batches of OwnData" in capsys.readouterr().err
