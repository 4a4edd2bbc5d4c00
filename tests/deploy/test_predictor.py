"""From a checkpoint to a predictor in Python."""

import csv
import multiprocessing
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_tasks import LabelPrediction, PointPrediction, load
from lightning_tasks.__main__ import console
from lightning_tasks.checkpoint import read_checkpoint
from lightning_tasks.errors import CheckpointError, ConfigError, ImageError, LightningTasksWarning
from tests.conftest import train
from tests.fakes import POINTS, write_points


def get_preds(folder, ckpt, monkeypatch):
    monkeypatch.chdir(folder)
    flags = ["--data.num_workers", "0", "--trainer.precision", "32-true", "--trainer.accelerator", "cpu"]
    assert console(["get_preds", ckpt, *flags]) == 0
    with Path("predictions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def paired_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("paired")
    write_points(folder / "root", POINTS)
    return folder, train(folder, "keypoints.yaml", "--data.swap_pairs", "[[l, r]]")


def test_labels_agree_with_the_validation(labels_run, monkeypatch):
    rows = get_preds(*labels_run, monkeypatch)
    predictor = load(labels_run[1], "cpu")
    for row, prediction in zip(rows, predictor([row["fname"] for row in rows]), strict=True):
        assert isinstance(prediction, LabelPrediction)
        assert prediction.vocab == ("cat", "dog")
        assert prediction.probabilities == pytest.approx([float(row["cat"]), float(row["dog"])], abs=0.01)
        assert prediction.labels == tuple(
            label for _, label in sorted(zip(-prediction.probabilities, prediction.vocab, strict=True))
            if prediction.chosen[prediction.vocab.index(label)]
        )  # fmt: skip
        assert prediction.chosen.tolist() == (prediction.probabilities > 0.5).tolist()


def test_points_agree_with_the_validation(points_run, monkeypatch):
    rows = get_preds(*points_run, monkeypatch)
    predictor = load(points_run[1], "cpu")
    for row, prediction in zip(rows, predictor([row["fname"] for row in rows]), strict=True):
        assert isinstance(prediction, PointPrediction)
        assert prediction.point_names == ("l", "r")
        wanted = [[float(row[f"{name}_x"]), float(row[f"{name}_y"])] for name in "lr"]
        assert prediction.points_px == pytest.approx(np.array(wanted), abs=0.2)


def test_paths_arrays_and_pil_images_are_one(labels_run):
    folder, ckpt = labels_run
    predictor = load(folder / ckpt, "cpu")
    path = folder / "root" / "3.jpg"
    wanted = predictor(path).probabilities
    with Image.open(path) as opened:
        array = np.asarray(opened.convert("RGB"))
        for given in (str(path), array, opened):
            assert predictor(given).probabilities == pytest.approx(wanted, abs=5e-3)  # two decoders
    for many in ([path, array], (path, array)):
        assert [len(one.probabilities) for one in predictor(many)] == [2, 2]
    assert predictor([]) == []


def test_a_batch_is_as_good_as_one_by_one(points_run):
    folder, ckpt = points_run
    predictor = load(folder / ckpt, "cpu")
    images = [np.random.default_rng(i).integers(0, 256, (20 + 9 * i, 50, 3), dtype=np.uint8) for i in range(5)]
    alone = np.stack([predictor(image).points_px for image in images])
    for batch_size in (2, 64):
        together = np.stack([one.points_px for one in predictor(images, batch_size)])
        assert together == pytest.approx(alone, abs=1e-3)


def test_threads_do_not_meet(labels_run):
    folder, ckpt = labels_run
    predictor = load(folder / ckpt, "cpu")
    images = [np.random.default_rng(i).integers(0, 256, (30, 30 + i % 5, 3), dtype=np.uint8) for i in range(40)]
    alone = [predictor(image).probabilities for image in images]
    with ThreadPoolExecutor(8) as pool:
        for one, wanted in zip(pool.map(predictor, images), alone, strict=True):
            assert one.probabilities == pytest.approx(wanted, abs=1e-6)


def test_what_is_kept_in_the_checkpoint_and_what_beats_it(labels_run, tmp_path):
    folder, ckpt = labels_run
    content = read_checkpoint(folder / ckpt)
    content["hyper_parameters"] |= {"threshold": [0.0, 1.0], "temperature": 4.0}
    torch.save(content, tmp_path / "kept.ckpt")
    image = np.full((24, 32, 3), 90, dtype=np.uint8)
    plain, kept = load(folder / ckpt, "cpu")(image), load(tmp_path / "kept.ckpt", "cpu")(image)
    logits = np.log(plain.probabilities / (1 - plain.probabilities))
    assert kept.probabilities == pytest.approx(1 / (1 + np.exp(-logits / 4)), abs=1e-5)
    assert kept.labels == ("cat",)
    assert load(tmp_path / "kept.ckpt", "cpu", threshold=0.0)(image).chosen.all()


def test_one_label_an_image(tmp_path, labels_run):
    folder, ckpt = labels_run
    content = read_checkpoint(folder / ckpt)
    content["hyper_parameters"]["loss"] = "cross_entropy"
    torch.save(content, tmp_path / "one.ckpt")
    with pytest.warns(LightningTasksWarning, match="is now MultiClassClassifier"):
        predictor = load(tmp_path / "one.ckpt", "cpu")
    prediction = predictor(np.zeros((24, 32, 3), dtype=np.uint8))
    assert prediction.probabilities.sum() == pytest.approx(1)
    assert prediction.labels == (prediction.vocab[int(prediction.probabilities.argmax())],)


def test_flip_averages_with_the_mirrored_image(labels_run, paired_run):
    image = np.random.default_rng(1).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    mirrored = np.ascontiguousarray(image[:, ::-1])
    folder, ckpt = labels_run
    plain, flipped = load(folder / ckpt, "cpu"), load(folder / ckpt, "cpu", flip=True)
    both = (plain(image).probabilities + plain(mirrored).probabilities) / 2
    assert flipped(image).probabilities == pytest.approx(both, abs=2e-3)
    folder, ckpt = paired_run
    plain, flipped = load(folder / ckpt, "cpu"), load(folder / ckpt, "cpu", flip=True)
    back = plain(mirrored).points_px[::-1] * [-1, 1] + [79, 0]  # left and right change places
    assert flipped(image).points_px == pytest.approx((plain(image).points_px + back) / 2, abs=0.02)


def test_scales_average_and_change_little_in_where_points_are(points_run):
    folder, ckpt = points_run
    image = np.random.default_rng(1).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    plain, one, two = (load(folder / ckpt, "cpu", scales=scales) for scales in ((1.0,), (2.0,), (1.0, 2.0)))
    found = [predictor(image).points_px for predictor in (plain, one, two)]
    assert found[2] == pytest.approx((found[0] + found[1]) / 2, abs=1e-3)
    assert (found[0] != found[1]).any()


def test_flip_without_swap_pairs_is_refused(points_run):
    with pytest.raises(ConfigError, match="swap_pairs"):
        load(points_run[0] / points_run[1], "cpu", flip=True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"device": "tpu9"}, "There is no device 'tpu9'"),
        ({"scales": (99.0,)}, "between 0.25 and 4"),
        ({"scales": ()}, "at least one"),
        ({"threshold": 2.0}, "from 0 to 1"),
    ],
)
def test_settings_that_do_not_work(labels_run, settings, message):
    with pytest.raises(ConfigError, match=message):
        load(labels_run[0] / labels_run[1], **{"device": "cpu", **settings})


def test_a_threshold_is_for_labels(points_run):
    with pytest.raises(ConfigError, match="for labels"):
        load(points_run[0] / points_run[1], "cpu", threshold=0.5)


def test_checkpoints_that_are_none(labels_run, tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint"):
        load(tmp_path / "none.ckpt")
    content = read_checkpoint(labels_run[0] / labels_run[1])
    for change, message in (
        ({"hyper_parameters": {}}, "none of the tasks"),
        ({"state_dict": {}}, "does not fit"),
        ({"hyper_parameters": content["hyper_parameters"] | {"from_the_future": 1}}, "does not fit"),
    ):
        torch.save(content | change, tmp_path / "odd.ckpt")
        with pytest.raises(CheckpointError, match=message):
            load(tmp_path / "odd.ckpt")


def test_images_that_are_none_and_models_that_diverged(labels_run, tmp_path):
    folder, ckpt = labels_run
    with pytest.raises(ImageError, match=r"nothing\.jpg"):
        load(folder / ckpt, "cpu")([tmp_path / "nothing.jpg"])
    content = read_checkpoint(folder / ckpt)
    content["state_dict"] = {k: v * torch.nan if v.is_floating_point() else v for k, v in content["state_dict"].items()}
    torch.save(content, tmp_path / "nan.ckpt")
    with pytest.raises(ConfigError, match="NaN"):
        load(tmp_path / "nan.ckpt", "cpu")(np.zeros((24, 32, 3), dtype=np.uint8))


def test_the_checkpoint_asks_for_no_data_and_no_network(labels_run, tmp_path, monkeypatch):
    folder, ckpt = labels_run
    (tmp_path / "best.ckpt").write_bytes((folder / ckpt).read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("socket.socket.connect", None)
    assert load("best.ckpt", "cpu")(np.zeros((9, 9, 3), np.uint8)).vocab == ("cat", "dog")


@pytest.mark.processes
def test_the_checkpoint_alone_is_enough(labels_run, tmp_path):
    """In a process of its own, away from the data and the config, without a network."""
    folder, ckpt = labels_run
    (tmp_path / "best.ckpt").write_bytes((folder / ckpt).read_bytes())
    code = (
        "import socket; socket.socket.connect = None; import numpy as np; from lightning_tasks import load; "
        "print(load('best.ckpt', 'cpu')(np.zeros((9, 9, 3), np.uint8)).vocab)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout.strip()) == (0, "('cat', 'dog')"), done.stderr


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="there is no fork")
def test_a_forked_process_predicts_the_same(labels_run):
    predictor = load(Path(*labels_run), "cpu")
    image = np.random.default_rng(0).integers(0, 256, (600, 800, 3), dtype=np.uint8)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)  # which OpenMP starts, and a fork leaves behind
    try:
        expected = predictor(image).probabilities
        context = multiprocessing.get_context("fork")
        answers = context.SimpleQueue()
        children = [
            context.Process(target=lambda: answers.put(predictor(image).probabilities), daemon=True) for _ in range(2)
        ]
        for child in children:
            child.start()
        for child in children:
            child.join(60)
        hanging = [child for child in children if child.is_alive()]
        for child in hanging:
            child.kill()
        assert not hanging
        for _ in children:
            np.testing.assert_allclose(answers.get(), expected, atol=1e-5)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_memory_is_kept_unless_that_is_not_wanted(labels_run, monkeypatch):
    calls = []
    monkeypatch.setattr("lightning_tasks.deploy.predictor.keep_memory", lambda: calls.append(1))
    load(Path(*labels_run), "cpu", keep_freed_memory=False)
    assert not calls
    load(Path(*labels_run), "cpu")
    assert calls == [1]
