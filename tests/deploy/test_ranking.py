"""What to label next: by entropies that scipy computes, by views that differ, and by greedy k-centers."""

import csv
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from lightning_tasks.__main__ import console
from lightning_tasks.deploy.prediction_table import Row
from lightning_tasks.deploy.ranking import Ranker, k_center
from lightning_tasks.tasks.keypoints.output import PointFormat
from lightning_tasks.tasks.multilabel.output import LabelFormat
from lightning_tasks.tasks.values.output import ValueFormat

pytestmark = pytest.mark.filterwarnings("ignore:.*old name still read")  # the recorded checkpoints are old

RECORDED = Path(__file__).parents[1] / "recorded"
QUIET = ["--device", "cpu", "--progress", "false"]
PROBABILITIES = torch.tensor([[0.5, 0.5, 0.5], [0.99, 0.01, 0.01], [0.5, 0.01, 0.99], [0.0, 1.0, 0.0]])


def test_the_uncertainty_of_labels_is_their_entropy():
    thresholds = np.full(3, 0.5, np.float32)
    found = LabelFormat(("a", "b", "c"), thresholds).uncertainty([PROBABILITIES])
    wanted = [np.mean([entropy([p, 1 - p], base=2) for p in row]) for row in PROBABILITIES.double().tolist()]
    assert found.tolist() == pytest.approx(wanted, abs=1e-6)
    assert found.tolist()[::3] == [1, 0]
    shares = torch.tensor([[1 / 3, 1 / 3, 1 / 3], [1.0, 0.0, 0.0], [0.6, 0.3, 0.1]])
    one = LabelFormat(("a", "b", "c"), None).uncertainty([shares])
    assert one.tolist() == pytest.approx([entropy(row, base=3) for row in shares.double().tolist()], abs=1e-6)


def test_the_uncertainty_of_points_and_numbers_is_how_far_views_are_apart():
    views = [torch.tensor([[[0.0, 0.0], [0.5, 0.5]], [[0.0, 0.0], [0.0, 0.0]]]) for _ in range(3)]
    views[1][1, 0, 0], views[2][1, 1, 1] = 0.3, 0.6
    found = PointFormat(("a", "b"), None, (32, 32)).uncertainty(views)
    assert found.tolist() == pytest.approx([0, math.sqrt((0.02 + 0.08) / 4)])  # variances of two of four coordinates
    numbers = [torch.tensor([[1.0, 100.0], [2.0, 100.0]]), torch.tensor([[1.0, 300.0], [3.0, 100.0]])]
    spread = ValueFormat(("a", "b"), np.array([1, 200], np.float32)).uncertainty(numbers)
    assert spread.tolist() == pytest.approx([math.sqrt(0.25 / 2), math.sqrt(0.25 / 2)])


def test_greedy_k_centers_by_hand():
    line = torch.tensor([[0.0], [1.0], [10.0], [4.0], [10.0], [6.0]])
    assert k_center(line, 4).tolist() == [0, 2, 3, 5]  # 0; the first 10; 4 from both 4 (and 6, behind it); 6
    assert k_center(line, 99).tolist() == [0, 2, 3, 5, 1, 4]  # what is there twice comes last, and once
    assert k_center(torch.zeros(3, 2), 3).tolist() == [0, 1, 2]


class Backbone(torch.nn.Module):
    """Hands on features that stand in the images."""

    def forward(self, inputs):
        return inputs.flatten(1)


class FakePredictor:
    """Probabilities and features (B, 2) for inputs (3, 1, 1): probability, x, y."""

    device = torch.device("cpu")
    output_format = LabelFormat(("a",), np.full(1, 0.5, np.float32))

    def __init__(self):
        self.module = torch.nn.Module()
        self.module.backbone = Backbone()

    def outputs(self, inputs):
        return self.module.backbone(torch.stack([scales[0] for scales in inputs]))[:, :1]


def ranks(rank, images, top):
    ranker = Ranker(FakePredictor(), rank)
    rows = []
    for begin in range(0, len(images), 2):
        inputs = [[torch.tensor(image)[:, None, None]] for image in images[begin : begin + 2]]
        predictions = ranker.predict(inputs, [(1, 1)] * len(inputs))
        rows += [Row(Path(str(begin + i)), Path("x"), p, None) for i, p in enumerate(predictions)]
    ranker.predict([[torch.tensor(images[0])[:, None, None]]], [(1, 1)])  # a batch that Ctrl-C has cut off
    rows.insert(1, Row(Path("broken"), Path("x"), None, "broken"))
    ranked = ranker.ranked(rows, top)
    assert (ranked[-1].path, ranked[-1].rank, ranked[-1].uncertainty) == (Path("broken"), None, None)
    assert [row.rank for row in ranked[:-1]] == list(range(1, len(ranked)))
    return [int(row.path.name) for row in ranked[:-1]]


def test_the_uncertain_come_first_and_of_them_the_different():
    one, other = [0.1, 0.0], [0.0, 0.1]  # directions beside the probability's
    images = [[0.01, *one], [0.5, *one], [0.51, *one], [0.6, *other], [0.55, *one], [0.99, *other], [0.7, *other]]
    assert ranks("uncertain", images, None) == [1, 2, 4, 3, 6, 0, 5]
    assert ranks("uncertain", images, 2) == [1, 2]
    by_directions = ranks("diverse", images, 2)
    directions = torch.nn.functional.normalize(torch.tensor(images))
    furthest = (directions - directions[1]).norm(dim=1).argmax()
    assert by_directions == [1, int(furthest)]
    assert sorted(ranks("diverse", images, None)) == list(range(7))


@pytest.mark.parametrize("variant", ["labels", "points"])
def test_predict_ranks_in_tables_and_in_pre_annotations(variant, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    names = ["wide.png", "turned.png", "grey.png", "tiny.png"]
    for name in names:
        shutil.copy(RECORDED / "data" / name, "in")
    Path("in/broken.png").write_bytes(b"no image")
    best = str(RECORDED / "runs" / variant / "version_0/checkpoints/best.ckpt")
    arguments = ["predict", best, "in", *QUIET, "--batch_size", "2"]
    assert console([*arguments, "--output", "plain.csv"]) == 1
    ranked = [*arguments, "--rank", "uncertain"]
    assert console(ranked) == 1
    plain, table = (
        list(csv.DictReader(Path(name).read_text().splitlines())) for name in ("plain.csv", "predictions.csv")
    )
    assert [row["rank"] for row in table] == ["1", "2", "3", "4", ""]
    uncertainties = [float(row["uncertainty"]) for row in table[:-1]]
    assert uncertainties == sorted(uncertainties, reverse=True)
    assert uncertainties[0] > uncertainties[-1]
    assert table[-1]["error"]
    predicted = {row["fname"]: row for row in plain}
    for row in table:  # what is predicted is the same
        assert {k: v for k, v in row.items() if k not in ("rank", "uncertainty")} == predicted[row["fname"]]
    assert console([*ranked[:-1], "diverse", "--top", "2", "--format", "coco"]) == 1
    images = json.loads(Path("predictions.json").read_text())["images"]
    assert len(images) == 2
    assert images[0]["file_name"] == Path(table[0]["fname"]).name
    assert console([*arguments, "--top", "2"]) == 2
    assert "--top is for --rank" in capsys.readouterr().err
