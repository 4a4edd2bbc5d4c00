"""A classifier with attention that validates on whole images goes where any other goes."""

import csv
from pathlib import Path

import pytest
import torch

from lightning_tasks import MultiLabelClassifier, load
from lightning_tasks.__main__ import console
from lightning_tasks.checkpoint import read_checkpoint
from lightning_tasks.deploy.predictor import predictor_of
from lightning_tasks.tasks.multilabel.grad_cam import GradCam
from tests.conftest import train
from tests.deploy.test_export import answers, noise, wanted
from tests.fakes import LABELS, write_multilabel


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("attention")
    write_multilabel(folder / "root", LABELS)
    more = [
        "--model.head",
        "attention",
        "--data.val_xtra",
        "0",
        "--data.flip_p",
        "0.5",
        "--model.lr",
        "0.3",
        "--trainer.max_epochs",
        "4",
    ]
    return folder, folder / train(folder, "multilabel.yaml", *more)


def test_the_checkpoint_alone_sees_what_validation_saw(run, monkeypatch):
    folder, ckpt = run
    monkeypatch.chdir(folder)
    flags = ["--data.num_workers", "0", "--trainer.precision", "32-true", "--trainer.accelerator", "cpu"]
    assert console(["get_preds", str(ckpt), *flags]) == 0
    with Path("predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = [row["fname"] for row in rows]
    probabilities = [[float(row["cat"]), float(row["dog"])] for row in rows]
    assert [list(one.probabilities) for one in load(ckpt, "cpu")(names)] == [
        pytest.approx(p, abs=0.01) for p in probabilities
    ]
    content = read_checkpoint(ckpt)
    del content["datamodule_hyper_parameters"]["val_xtra"]  # of a version that always cut the centre
    cut = [list(one.probabilities) for one in predictor_of(content, ckpt, "cpu")(names)]
    assert cut != [pytest.approx(p, abs=0.01) for p in probabilities]


@pytest.mark.parametrize("format", [pytest.param("onnx", marks=pytest.mark.slow), "torch"])
def test_exports_say_what_the_checkpoint_says(run, format, tmp_path):
    folder, ckpt = run
    path = tmp_path / f"m.{ {'onnx': 'onnx', 'torch': 'pt2'}[format] }"
    arguments = ["--format", format, "--output", str(path), "--data_root", str(folder / "root")]
    assert console(["export", str(ckpt), *arguments]) == 0  # which compares them itself
    images = noise(2, 60, 90)
    assert answers(path, images) == pytest.approx(wanted(ckpt, images), abs=1e-3)


def test_grad_cam_finds_the_map(run):
    model = MultiLabelClassifier.load_from_checkpoint(run[1], weights_only=True)
    heat = GradCam(model, "cat")(torch.from_numpy(noise(2, 32, 40)).permute(0, 3, 1, 2))
    assert heat.shape == (2, 32, 40)
    assert heat.isfinite().all()
