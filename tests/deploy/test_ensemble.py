"""Several checkpoints as one predictor: the mean of what each predicts, for every task."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from lightning_tasks import load
from lightning_tasks.__main__ import console
from lightning_tasks.checkpoint import read_checkpoint, write_checkpoint
from lightning_tasks.errors import CheckpointError, ConfigError
from tests.tasks.values.conftest import values_run  # noqa: F401 - a fixture

QUIET = ["--device", "cpu", "--progress", "false"]
NAMES = ["root/6.jpg", "root/7.jpg"]


def changed(ckpt, name, *, seed=1, size=None, data=None, **hyper_parameters):
    """Write a checkpoint with other weights in its head, and perhaps other settings."""
    content = read_checkpoint(Path(ckpt))
    draw = torch.Generator().manual_seed(seed)
    weights = content["state_dict"]
    for key, value in weights.items():
        if key.startswith("head") and value.is_floating_point() and value.ndim > 1:
            weights[key] = value + 0.3 * torch.randn(value.shape, generator=draw)
    content["hyper_parameters"] |= {} if size is None else {"image_size": size}
    content["hyper_parameters"] |= hyper_parameters
    content["datamodule_hyper_parameters"] |= data or {}
    write_checkpoint(content, Path(name))
    return name


@pytest.fixture(params=["labels", "points", "values"])
def run(request, monkeypatch, tmp_path):
    """A checkpoint of each task, the folder's images, and what its predictions hold."""
    fixture = {"labels": "labels_run", "points": "points_run", "values": "values_run"}[request.param]
    folder, ckpt = request.getfixturevalue(fixture)
    monkeypatch.chdir(folder)
    field = {"labels": "probabilities", "points": "points_px", "values": "values"}[request.param]
    return ckpt, field


def numbers(predictions, field):
    return np.array([getattr(one, field) for one in predictions])


def test_it_predicts_the_mean_of_its_members(run, tmp_path):
    ckpt, field = run
    other = changed(ckpt, str(tmp_path / "b.ckpt"))
    for options in ({}, {"scales": (1.0, 2.0)}):
        alone = [numbers(load(path, "cpu", **options)(NAMES), field) for path in (ckpt, other)]
        assert not np.allclose(*alone, atol=1e-3)
        both = load([ckpt, other], "cpu", **options)
        assert np.allclose(numbers(both(NAMES), field), np.mean(alone, axis=0), rtol=1e-5, atol=1e-5)
        assert np.allclose(both("root/6.jpg").cells()[1], np.mean(alone, axis=0)[0].ravel(), rtol=1e-5, atol=1e-5)


def test_members_may_see_images_in_another_size(run, tmp_path):
    ckpt, field = run
    other = changed(ckpt, str(tmp_path / "b.ckpt"), size=(64, 48))
    alone = [numbers(load(path, "cpu")(NAMES), field) for path in (ckpt, other)]
    for order in ([ckpt, other], [other, ckpt]):
        assert np.allclose(numbers(load(order, "cpu")(NAMES), field), np.mean(alone, axis=0), rtol=1e-5, atol=1e-4)


def test_predict_writes_it_and_serves_it(run, tmp_path, capsys):
    ckpt, _ = run
    others = [changed(ckpt, str(tmp_path / f"{seed}.ckpt"), seed=seed) for seed in (1, 2)]
    tables = []
    for more in ([], ["--ensemble", others[0]], ["--ensemble", f"[{others[0]}, {others[1]}]"]):
        assert console(["predict", ckpt, *NAMES, *more, "--output", str(tmp_path / "p.csv"), *QUIET]) == 0
        with (tmp_path / "p.csv").open(newline="") as file:
            tables.append([row[-1] for row in csv.reader(file)][1:])
    assert tables[0] != tables[1] != tables[2]
    wanted = load([ckpt, *others], "cpu")(NAMES)
    assert [float(cell) for cell in tables[2]] == pytest.approx([float(one.cells()[1][-1]) for one in wanted], abs=1e-5)


def test_a_label_is_predicted_above_the_mean_of_the_thresholds(labels_run, tmp_path, monkeypatch):
    monkeypatch.chdir(labels_run[0])
    low, high = (changed(labels_run[1], str(tmp_path / f"{t}.ckpt"), threshold=[t, 0.5]) for t in (0.0, 1.0))
    both = load([low, high], "cpu")
    assert both.output_format.thresholds.tolist() == [0.5, 0.5]
    for one in both(NAMES):
        assert one.chosen.tolist() == (one.probabilities > 0.5).tolist()
    assert load([low, high], "cpu", threshold=0.25).output_format.thresholds.tolist() == [0.25, 0.25]


def test_members_that_do_not_predict_the_same_are_refused(labels_run, points_run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(labels_run[0])
    labels, points = labels_run[1], str(points_run[0] / points_run[1])
    with pytest.raises(ConfigError, match="one the labels cat, dog; another the points l, r"):
        load([labels, points], "cpu")
    swapped = changed(labels, str(tmp_path / "b.ckpt"), vocab=["dog", "cat"])
    assert console(["predict", labels, *NAMES, "--ensemble", swapped, *QUIET]) == 2
    assert "in one order" in " ".join(capsys.readouterr().err.split())
    white = changed(labels, str(tmp_path / "c.ckpt"), data={"white_level": 4095})
    with pytest.raises(ConfigError, match="take 4095 and 65535 for white"):
        load([labels, white], "cpu")
    assert load([labels, white], "cpu", white_level=4095).white_level == 4095
    with pytest.raises(ConfigError, match="the list is empty"):
        load([], "cpu")


def test_a_folder_that_is_no_cross_validation_is_told(labels_run, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(labels_run[0])
    run = str(Path(labels_run[1]).parents[1])
    with pytest.raises(CheckpointError, match=r"it is a folder.*best\.ckpt"):
        load(run, "cpu")
    assert console(["export", run]) == 2
    assert "it is a folder" in capsys.readouterr().err
    (tmp_path / "fold_0").mkdir()
    with pytest.raises(CheckpointError, match="fold 0 is not trained yet"):
        load(tmp_path, "cpu")


def test_what_is_predicted_is_not_written_over_a_member(labels_run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(labels_run[0])
    other = changed(labels_run[1], str(tmp_path / "b.csv"))
    assert console(["predict", labels_run[1], *NAMES, "--ensemble", other, "--output", other, *QUIET]) == 2
    assert "is read here" in capsys.readouterr().err
