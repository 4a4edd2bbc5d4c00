"""Both reproductions run from drawn data to their tables, and are resumed where they were stopped."""

import contextlib
import csv
import json
import re
from importlib.metadata import version

import pytest
import timm
import torch

from tests.fakes import draw_biwi, draw_pascal
from tests.scripts import run_script, verbs_in_this_process

SMALL = ["--data.size", "32", "--data.batch_size", "32", "--data.num_workers", "0", "--trainer.accelerator", "cpu"]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reproduce")
    draw_pascal(folder / "pascal", n=100)
    draw_biwi(folder / "biwi", frames=2)
    torch.save(timm.create_model("test_resnet").state_dict(), folder / "weights.pth")
    return folder


@pytest.fixture(
    params=["in_this_process", pytest.param("as_processes", marks=[pytest.mark.slow, pytest.mark.processes])]
)
def folder(request, images, tmp_path):
    """A folder with the images; the script's verbs run in this process, or as it starts them."""
    for name in ("pascal", "biwi", "weights.pth"):
        (tmp_path / name).symlink_to(images / name)
    with verbs_in_this_process() if request.param == "in_this_process" else contextlib.nullcontext():
        yield tmp_path


def reproduce(folder, task, *more, code=0):
    given = ["--root", task, "--folder", f"out_{task}", "--backbone", "test_resnet", "--weights", "weights.pth"]
    return run_script("reproduce.py", task, *given, *more, "--", *SMALL, folder=folder, code=code)


def test_labels(folder):
    reproduce(folder, "pascal")
    results = json.loads((folder / "out_pascal" / "results.json").read_text())
    one = results["trainings"]["42"]
    assert len(one["epochs"]) == 7
    assert set(one["epochs"][0]) >= {"val/loss", "val/accuracy", "val/mAP", "train/loss_epoch", "seconds"}
    assert results["batch"]["loss_by_hand"] == pytest.approx(results["batch"]["loss_with_logits"], abs=1e-5)
    assert results["batch"]["images"] == [64, 3, 128, 128]
    # The last epoch's score, by Lightning, and by ours on the checkpoint's predictions in float32.
    assert one["thresholds"]["0.2"] == pytest.approx(one["epochs"][-1]["val/accuracy"], abs=0.02)
    assert one["mAP"] == pytest.approx(one["epochs"][-1]["val/mAP"], abs=0.03)
    assert len(one["curve"][0]) == len(one["curve"][1]) == 29
    assert one["best_accuracy"] == max(one["curve"][1])
    with (folder / "pascal" / "train.csv").open(newline="") as file:
        labels = [row["labels"].split() for row in csv.DictReader(file) if row["is_valid"] == "True"]
    assert one["predicting_nothing"] == pytest.approx(1 - sum(map(len, labels)) / (5 * len(labels)))
    assert re.fullmatch("[0-9a-f]{64}", results["data"]["split_sha256"])
    assert {"valley", "slide", "minimum", "steep"} == set(results["lr_find"])
    assert results["machine"]["torch"] == version("torch")
    page = (folder / "out_pascal" / "report.html").read_text()
    assert "0.7017" in page  # the walk-through's first loss
    assert f"{one['thresholds']['0.9']:.4f}" in page
    for name in ("results.png", "curve.png", "checkpoint.html"):
        assert (folder / "out_pascal" / name).stat().st_size > 5_000


@pytest.mark.slow
def test_points_then_more_seeds_of_the_same_reproduction(folder):
    reproduce(folder, "biwi")
    first = json.loads((folder / "out_biwi" / "results.json").read_text())
    done = reproduce(folder, "biwi", "--seeds", "2")
    assert "== seed_43" in done.stdout
    assert "== seed_42" not in done.stdout  # it is there
    results = json.loads((folder / "out_biwi" / "results.json").read_text())
    assert results["trainings"]["42"] == first["trainings"]["42"]
    assert [len(one["epochs"]) for one in results["trainings"].values()] == [4, 4]
    assert results["over_seeds"]["median_px"]["n"] == 2
    for one in results["trainings"].values():
        assert one["median_px"] == pytest.approx(one["epochs"][-1]["val/median_px"], rel=0.05)
    assert "0.006918" in (folder / "out_biwi" / "report.html").read_text()
    other = reproduce(folder, "biwi", "--backbone", "resnet10t", code=1)
    assert "was begun with other settings (backbone" in other.stderr
