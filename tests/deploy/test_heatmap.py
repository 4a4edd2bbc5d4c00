"""A heatmap's checkpoint goes where a regression's goes."""

import numpy as np
import pytest
import torch

from lightning_tasks import KeypointRegressor, load
from lightning_tasks.__main__ import console
from lightning_tasks.checkpoint import read_checkpoint
from tests.conftest import CONF, train
from tests.deploy.test_export import answers, noise, wanted
from tests.fakes import POINTS, write_points


@pytest.fixture(scope="module")
def heatmap_run(tmp_path_factory):
    """A checkpoint, trained with the body frozen for an epoch."""
    folder = tmp_path_factory.mktemp("heatmap")
    write_points(folder / "root", POINTS)
    points = ["--model.head", "heatmap", "--model.normalize_by", "[l, r]", "--data.swap_pairs", "[[l, r]]"]
    frozen = ["--config", str(CONF / "fine_tune.yaml"), "--trainer.callbacks.freeze_epochs", "1"]
    more = [*points, *frozen, "--trainer.callbacks.epochs", "1", "--trainer.max_epochs", "2"]
    return folder, folder / train(folder, "keypoints.yaml", *more)


def test_a_checkpoint_brings_its_head(heatmap_run):
    folder, ckpt = heatmap_run
    model = KeypointRegressor.load_from_checkpoint(ckpt, weights_only=True).eval()
    images = noise(2, 32, 40)
    with torch.inference_mode():
        points_norm = model(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()
    assert (points_norm + 1) * [20, 16] == pytest.approx(wanted(ckpt, images), abs=1e-3)
    header = next(folder.glob("runs/*/version_0/metrics.csv")).read_text().splitlines()[0]
    assert {"val/loss", "val/median_px", "val/nme"} <= set(header.split(","))


def test_the_body_is_frozen_then_not(heatmap_run):
    ckpt = heatmap_run[1]
    last = read_checkpoint(ckpt.with_name("last.ckpt"))
    names = [group["name"] for group in last["optimizer_states"][0]["param_groups"]]
    assert [name for name in names if not name.endswith("_no_decay")] == ["early", "late", "head"]


@pytest.mark.parametrize("format", ["onnx", pytest.param("torch", marks=pytest.mark.slow), "safetensors"])
def test_exports_say_what_the_checkpoint_says(heatmap_run, format, tmp_path, capsys):
    folder, ckpt = heatmap_run
    path = tmp_path / f"m.{ {'onnx': 'onnx', 'torch': 'pt2', 'safetensors': 'safetensors'}[format] }"
    arguments = ["--format", format, "--output", str(path), "--data_root", str(folder / "root")]
    assert console(["export", str(ckpt), *arguments]) == 0  # which compares them itself
    assert "bound: 0.0001" in capsys.readouterr().out
    for size in ((3, 24, 32), (1, 300, 200)) if format == "onnx" else ():
        images = noise(*size)
        assert answers(path, images) == pytest.approx(wanted(ckpt, images), abs=1e-2 * max(size[1:]))


def test_flip_and_scales_average(heatmap_run):
    ckpt = heatmap_run[1]
    image = np.random.default_rng(1).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    plain, flipped = load(ckpt, "cpu"), load(ckpt, "cpu", flip=True)
    back = plain(np.ascontiguousarray(image[:, ::-1])).points_px[::-1] * [-1, 1] + [79, 0]
    assert flipped(image).points_px == pytest.approx((plain(image).points_px + back) / 2, abs=0.02)
    two, both = (load(ckpt, "cpu", scales=scales)(image).points_px for scales in ((2.0,), (1.0, 2.0)))
    assert both == pytest.approx((plain(image).points_px + two) / 2, abs=1e-3)
