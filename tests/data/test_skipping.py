"""Images that cannot be read: an error that names them, or a training without them."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_tasks import KeypointDataModule, MultiLabelDataModule
from lightning_tasks.__main__ import console
from lightning_tasks.data.images.decode import read_image, read_reduced
from lightning_tasks.errors import ConfigError, ImageError
from tests.conftest import CONF
from tests.fakes import FLAGS, write_image, write_multilabel, write_points

N = 40  # the last ten are for validation


def encoded(kind, size=(32, 24)):
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).convert("CMYK" if kind == "cmyk" else "RGB").save(file, "PNG" if kind == "png" else "JPEG")
    return file.getvalue()


def bomb():
    """A PNG of 20,000×20,000 pixels in some 400 kB."""
    file = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(file, "PNG")
    return file.getvalue()


def animated():
    file = io.BytesIO()
    frames = [Image.new("RGB", (32, 24), colour) for colour in ("red", "blue")]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return file.getvalue()


BAD = {
    "zero bytes": b"",
    "cut": encoded("rgb", (320, 240))[:9000],
    "cut before its pixels": encoded("rgb")[:300],
    "text": b"no image at all\n" * 50,
    "20,000×20,000": bomb(),
    "a JPEG's first bytes": b"\xff\xd8\xff\xe0",
    "noise": np.random.default_rng(0).integers(0, 256, 5000, dtype=np.uint8).tobytes(),
}
GOOD = {
    "a PNG called .jpg": encoded("png"),
    "CMYK": encoded("cmyk"),
    "1×1": encoded("rgb", (1, 1)),
    "animated": animated(),
    "bytes after its end": encoded("rgb") + b"\0" * 100,
}


@pytest.mark.parametrize("side", [0, 16])
@pytest.mark.parametrize("kind", BAD)
def test_what_cannot_be_read_is_named(kind, side, tmp_path):
    (tmp_path / "a.jpg").write_bytes(BAD[kind])
    with pytest.raises(ImageError, match=r"a\.jpg.*(Replace|Restore)"):
        read_reduced(tmp_path / "a.jpg", side)


@pytest.mark.filterwarnings("ignore::lightning_tasks.errors.LightningTasksWarning")  # of the animation's first frame
@pytest.mark.parametrize("kind", GOOD)
def test_what_is_odd_but_readable_is_read(kind, tmp_path):
    (tmp_path / "a.jpg").write_bytes(GOOD[kind])
    assert read_image(tmp_path / "a.jpg").shape == ((1, 1, 3) if kind == "1×1" else (24, 32, 3))


def labels(root, bad):
    """Forty images with labels; those at the rows of `bad` cannot be read."""
    lines = ["fname,labels,is_valid", *(f"{i}.jpg,{'cat' if i % 2 else 'dog'},{i >= 30}" for i in range(N))]
    write_multilabel(root, lines, N)
    spoil(root, bad)
    return root


def spoil(root, bad):
    for i, kind in zip(bad, BAD, strict=False):
        (root / f"{i}.jpg").write_bytes(BAD[kind])


def module(root, **settings):
    data = MultiLabelDataModule(str(root), size=(32, 40), batch_size=8, max_bad_fraction=0.2, **settings)
    data.setup("fit")
    return data


@pytest.mark.parametrize("cache", ["none", "disk"])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_epoch_goes_on_without_them(tmp_path, cache, num_workers):
    bad = [3, 11, 17, 33]
    root = labels(tmp_path / "root", bad)
    data = module(root, on_bad_image="skip", num_workers=num_workers, cache=cache, cache_dir=str(tmp_path / "cache"))
    for epoch in range(2):  # they are skipped in each
        loader = data.train_dataloader()
        loader.sampler.set_epoch(epoch)
        rows = torch.cat([batch.rows for batch in loader]).tolist()
        seen = set(rows) | {
            data.train_set.paths.names.tolist().index(path.name) for path in data.train_set.skipped.paths
        }
        assert not set(rows) & set(bad)
        assert len(rows) + len(data.train_set.skipped) == len(seen) == 24  # of 30: the last, partial batch is dropped
        data.train_set.skipped.clear()
    rows = torch.cat([batch.rows for batch in data.val_dataloader()]).tolist()
    assert rows == [row for row in range(10) if row + 30 != 33]
    assert [path.name for path in data.valid_set.skipped.paths] == ["33.jpg"]


@pytest.mark.parametrize("cache", ["none", "disk"])
def test_an_error_where_they_are_not_to_be_skipped(tmp_path, cache):
    root = labels(tmp_path / "root", [3])
    settings = {"num_workers": 0, "cache": cache, "cache_dir": str(tmp_path / "cache")}

    def epoch(**more):
        return len(list(module(root, **settings, **more).train_dataloader()))

    with pytest.raises(ImageError, match=r"3\.jpg"):
        epoch()
    assert epoch(on_bad_image="skip") == 3
    with pytest.raises(ImageError, match=r"3\.jpg"):  # the cache with a hole in it does not hide it
        epoch()


def test_too_many_stop_the_training(tmp_path):
    root = labels(tmp_path / "root", [])
    for i in range(14):
        (root / f"{i}.jpg").write_bytes(b"")
    too_many = r"\d of the 30 training images cannot be read, more than data\.max_bad_fraction"
    with pytest.raises(ImageError, match=too_many):
        list(module(root, on_bad_image="skip", num_workers=0, cache="none").train_dataloader())


def test_a_batch_with_nothing_in_it_is_left_out_of_scores(tmp_path):
    root = labels(tmp_path / "root", [])
    for i in range(30, 36):
        (root / f"{i}.jpg").write_bytes(b"")
    data = MultiLabelDataModule(
        str(root), batch_size=6, num_workers=0, cache="none", on_bad_image="skip", max_bad_fraction=0.9
    )
    data.setup("fit")
    assert [len(batch.rows) for batch in data.val_dataloader()] == [4]
    assert len(data.valid_set.skipped) == 6


def test_points_skip_too(tmp_path):
    lines = ["fname,is_valid,x_x,x_y", *(f"{i}.jpg,{i >= 30},5,6" for i in range(N))]
    write_points(tmp_path / "root", lines, N)
    spoil(tmp_path / "root", [1, 2])
    settings = {"num_workers": 0, "cache": "none", "on_bad_image": "skip", "max_bad_fraction": 0.1, "batch_size": 30}
    data = KeypointDataModule(str(tmp_path / "root"), size=(32, 40), **settings)
    data.setup("fit")
    assert len(next(iter(data.train_dataloader())).rows) == 28


def test_a_share_that_is_none(tmp_path):
    with pytest.raises(ConfigError, match="max_bad_fraction is 1"):
        MultiLabelDataModule(str(labels(tmp_path, [])), on_bad_image="skip", max_bad_fraction=1).setup("fit")


def test_the_command_line_counts_and_names_them(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    labels(tmp_path / "root", [3, 33])
    (tmp_path / "root" / "0.jpg").unlink()
    write_image(tmp_path / "root" / "0.jpg", (1, 1))
    run = ["fit", "--config", str(CONF / "multilabel.yaml"), *FLAGS, "--data.root", "root", "--data.size", "[32,40]"]
    run += ["--model.pretrained", "false", "--data.batch_size", "10", "--trainer.max_epochs", "2"]
    for cache in ("none", "disk"):
        assert console([*run, "--data.cache", cache]) == 2
        assert "3.jpg" in capsys.readouterr().err
        skipping = ["--data.cache", cache, "--data.on_bad_image", "skip", "--data.max_bad_fraction", "0.1"]
        assert console([*run, *skipping]) == 0
        said = capsys.readouterr().out
        assert said.count("skipped 1 of 30 training images: root/3.jpg") == 2
        assert said.count("skipped 1 of 10 validation images: root/33.jpg") == 2
    ckpt = str(next((tmp_path / "runs").glob("*/version_3/checkpoints/best.ckpt")))
    assert console(["get_preds", ckpt, "--data.num_workers", "0"]) == 0
    assert "skipped 1 of 10 validation images: root/33.jpg" in capsys.readouterr().out
    assert len((tmp_path / "predictions.csv").read_text().splitlines()) == 10


def skipped_run(root, folder):
    """Return the checkpoint of a run whose first training and last validation images, alone in a batch, are bad."""
    labels(root, [])
    for name in ("0.jpg", "39.jpg"):
        (root / name).write_bytes(b"")
    run = ["fit", "--config", str(CONF / "multilabel.yaml"), *FLAGS, "--data.root", str(root), "--data.size", "[32,40]"]
    run += ["--model.pretrained", "false", "--data.batch_size", "9", "--trainer.max_epochs", "1"]
    run += ["--data.on_bad_image", "skip", "--data.max_bad_fraction", "0.1", "--runs_dir", str(folder)]
    assert console(run) == 0
    return str(next(folder.rglob("best.ckpt"))), run


@pytest.mark.slow
def test_every_verb_goes_on_and_counts_the_same(tmp_path, monkeypatch, capsys):
    root = tmp_path / "root"
    ckpt, run = skipped_run(root, tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    valid = f"skipped 1 of 10 validation images: {root}/39.jpg\n"
    training = f"skipped 1 of 30 training images: {root}/0.jpg\n"
    assert valid in capsys.readouterr().out
    quiet = ["--trainer.enable_progress_bar", "false"]
    data = [*run[1:3], "--data.root", str(root), "--data.on_bad_image", "skip", "--data.max_bad_fraction", "0.1"]
    for told, *verb in (
        (valid, "validate", ckpt, *quiet),
        (valid, "get_preds", ckpt),
        (valid, "thresholds", ckpt, "--output", "t.ckpt"),
        (valid, "show_results", ckpt),
        (valid, "report", ckpt),
        (valid, "export", ckpt, "--format", "safetensors", "--n", "10"),
        (valid, "export", ckpt, "--precision", "int8", "--n", "1"),
        (training, "export", ckpt, "--precision", "int8", "--n", "1"),
        (training, "summary", *data),
        ("", "show_batch", *data),
        ("", "prepare", *data),
        (training, "lr_find", *run[1:-2], "--steps", "24", "--trainer.max_epochs", "null"),
    ):
        assert console(verb) == 0, verb
        printed = capsys.readouterr().out
        assert printed.count(told) >= 1, verb
    assert len((tmp_path / "predictions.csv").read_text().splitlines()) == 10


def test_one_bad_image_alone_in_the_last_batch_is_skipped_too(tmp_path):
    root = labels(tmp_path / "root", [])
    settings = {"batch_size": 9, "num_workers": 0, "cache": "none", "max_bad_fraction": 0.5}
    for last, left in ((39, 9), (38, 8)):  # ten images: nine and one; then the last of the nine too
        (root / f"{last}.jpg").write_bytes(b"")
        data = MultiLabelDataModule(str(root), on_bad_image="skip", **settings)
        data.setup("fit")
        assert sum(len(batch.rows) for batch in data.val_dataloader()) == left
        assert len(data.valid_set.skipped) == 10 - left
    data = MultiLabelDataModule(str(root), on_bad_image="skip", **{**settings, "batch_size": 8})
    data.setup("fit")
    assert [len(batch.rows) for batch in data.val_dataloader()] == [8]
    assert len(data.valid_set.skipped) == 2
