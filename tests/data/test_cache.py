import contextlib
import copy
import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from lightning_tasks import KeypointDataModule, MultiLabelDataModule
from lightning_tasks.data.images import cache as caching
from lightning_tasks.data.images.cache import CacheSettings, open_cache
from lightning_tasks.data.images.decode import read_image, read_reduced, reduced_size
from lightning_tasks.errors import ConfigError, ImageError
from tests.fakes import LABELS, POINTS, write_multilabel, write_points

DISK = CacheSettings("disk", None, 1.0)


def smooth(path, size, **options):
    """A photograph-like image: resampling it twice or once must not matter much."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    waves = [127 + 100 * np.sin(rows / (20 + c) + columns / (31 - c)) for c in (0, 3, 7)]
    Pillow.fromarray(np.stack(waves, -1).astype(np.uint8)).save(path, quality=95, **options)


@pytest.fixture
def paths(tmp_path):
    made = [tmp_path / name for name in ("a.jpg", "b.jpg", "c.png")]
    for path, size in zip(made, ((120, 160), (301, 203), (64, 48)), strict=True):
        smooth(path, size)
    return made


def opened(paths, tmp_path, side=40, **more):
    settings = CacheSettings(**{"kind": "disk", "folder": str(tmp_path / "cache"), "limit_gb": 1.0, **more})
    return open_cache("data", paths, side, settings, progress=False)


def test_pixels_are_those_of_the_uncached_path_bit_for_bit(paths, tmp_path):
    cache, note = opened(paths, tmp_path)
    assert "cache in" in note
    for slot, path in enumerate(paths):
        expected = read_reduced(path, 40)
        assert np.array_equal(cache[slot].image, expected.image)
        assert cache[slot].original_size == expected.original_size == read_image(path).shape[:2]
        assert min(cache[slot].image.shape[:2]) == 40
    again = pickle.loads(pickle.dumps(cache))  # as it goes to workers that are not forked
    assert np.array_equal(again[1].image, cache[1].image)
    assert len(pickle.dumps(cache)) < 1000
    cache[0].image[:] = 0  # a transform may write
    assert cache[0].image.any()


@pytest.mark.parametrize("size", [(120, 160), (301, 203), (480, 640), (1201, 999)])
def test_reduced_decoding_is_the_whole_image_within_resampling_error(tmp_path, size):
    smooth(tmp_path / "p.jpg", size)
    whole = Pillow.fromarray(read_image(tmp_path / "p.jpg"))
    reduced = read_reduced(tmp_path / "p.jpg", 60)
    height, width = reduced_size(size, 60)
    assert reduced.image.shape == (height, width, 3)
    oracle = np.asarray(whole.resize((width, height), Pillow.Resampling.BOX)).astype(int)
    assert np.abs(reduced.image - oracle).mean() < 2
    assert reduced.original_size == size


def test_a_turned_image_is_reduced_turned(tmp_path):
    exif = Pillow.Exif()
    exif[0x0112] = 6
    smooth(tmp_path / "p.jpg", (400, 600), exif=exif)
    image = read_reduced(tmp_path / "p.jpg", 50)
    assert image.original_size == (600, 400)
    assert image.image.shape == (75, 50, 3)


def test_it_is_built_once_and_again_when_a_file_changes(paths, tmp_path, monkeypatch):
    built = []
    monkeypatch.setattr(caching, "_build", lambda *args, f=caching._build: (built.append(1), f(*args)))
    first = opened(paths, tmp_path).cache
    opened(paths, tmp_path)
    assert len(built) == 1
    before = paths[0].stat()
    content = paths[0].read_bytes()
    paths[0].write_bytes(content[:-2] + b"\xff\xd9")  # of the same size
    os.utime(paths[0], ns=(before.st_atime_ns, before.st_mtime_ns))  # and the same time
    second = opened(paths, tmp_path).cache
    assert len(built) == 2
    assert second.path != first.path
    assert not first.path.exists()
    assert first[0].image.any()  # still mapped here
    assert len(list((tmp_path / "cache").glob("*.pixels"))) == 1
    opened(paths, tmp_path, side=30)
    assert len(list((tmp_path / "cache").glob("*.pixels"))) == 2  # another setting is another cache


def test_a_broken_image_leaves_nothing_half_made(paths, tmp_path):
    paths[1].write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"b\.jpg"):
        opened(paths, tmp_path)
    assert not [path for path in (tmp_path / "cache").iterdir() if path.suffix != ".lock"]


def test_a_limit_is_told_or_leaves_the_cache_out(paths, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match=r"0\.00 GB exceed data.cache_limit_gb 1e-06.*data.decode_side"):
        opened(paths, tmp_path, limit_gb=1e-6)
    cache, note = opened(paths, tmp_path, kind="auto", limit_gb=1e-6)
    assert cache is None
    assert "exceed" in note
    monkeypatch.setattr(caching.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 5}))
    with pytest.raises(ConfigError, match="are needed, and"):
        opened(paths, tmp_path)
    assert opened(paths, tmp_path, kind="none").cache is None


def test_a_full_disk_is_told_and_leaves_nothing(paths, tmp_path, monkeypatch):
    def full(target, *_):
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(caching, "_build", full)
    with pytest.raises(ConfigError, match="No space left on device"):
        opened(paths, tmp_path)
    assert not list((tmp_path / "cache").glob("*pixels*"))
    auto, note = opened(paths, tmp_path, kind="auto")
    assert auto is None
    assert "No space left on device" in note


def test_of_several_that_open_it_at_once_one_builds(paths, tmp_path, monkeypatch):
    """Threads of one process, each with a lock of its own; processes below."""
    built, build = [], caching._build

    def slow(*args):
        built.append(threading.get_ident())
        time.sleep(0.3)
        build(*args)

    monkeypatch.setattr(caching, "_build", slow)
    with ThreadPoolExecutor(3) as pool:
        caches = list(pool.map(lambda _: opened(paths, tmp_path).cache, range(3)))
    assert len(built) == 1
    assert len({int(cache[2].image.sum()) for cache in caches}) == 1


@pytest.mark.processes
def test_of_several_processes_one_builds(paths, tmp_path):
    code = (
        "import sys; from pathlib import Path; from lightning_tasks.data.images import cache as c; b = c._build\n"
        "def build(*args): print('built'); b(*args)\n"
        "c._build = build\n"
        f"s = c.CacheSettings('disk', {str(tmp_path / 'cache')!r}, 1.0)\n"
        "print(c.open_cache('data', [Path(p) for p in sys.argv[1:]], 40, s, progress=False).cache[2].image.sum())"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, *map(str, paths)], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = [process.communicate(timeout=120)[0].split() for process in processes]
    assert sorted(len(words) for words in said) == [1, 1, 2]
    assert len({words[-1] for words in said}) == 1


def module(tmp_path, **more):
    write_multilabel(tmp_path, LABELS)
    return MultiLabelDataModule(str(tmp_path), size=16, batch_size=2, num_workers=0, **more)


@pytest.mark.parametrize("cache", ["none", "ram", "disk", "auto"])
def test_batches_are_the_same_with_any_cache(tmp_path, cache):
    data = module(tmp_path, cache=cache, cache_dir=str(tmp_path / "cache"))
    reference = module(tmp_path, cache="none")
    for each in (data, reference):
        each.setup("fit")
    for a, b in zip([*data.train_dataloader(), *data.val_dataloader()],
                    [*reference.train_dataloader(), *reference.val_dataloader()], strict=True):  # fmt: skip
        assert torch.equal(a.images, b.images)
    assert (data.train_set.images.cache is not None) == (cache != "none")
    if cache == "ram":
        assert not list(Path("/dev/shm").glob(f"lightning_tasks-*/{tmp_path.name}*.pixels"))


@pytest.mark.processes
def test_workers_that_are_not_forked_load_the_same(tmp_path):
    # Python's way to start them on Linux from 3.14 on is forkserver.
    write_multilabel(tmp_path, ["fname,labels,is_valid", *(f"{i}.jpg,cat,{i >= 4}" for i in range(8))])
    skipping = {"on_bad_image": "skip", "max_bad_fraction": 0.5}
    data = MultiLabelDataModule(str(tmp_path), size=16, batch_size=4, num_workers=0, cache="ram", **skipping)
    (tmp_path / "7.jpg").write_bytes(b"none")
    data.setup("fit")
    expected = list(data.val_dataloader())
    data.num_workers = 1
    for method in ("forkserver", "spawn"):
        data.valid_set.skipped.clear()
        loader = data.val_dataloader()
        loader.multiprocessing_context = method
        assert all(torch.equal(a.images, b.images) for a, b in zip(loader, expected, strict=True))
        assert [path.name for path in data.valid_set.skipped.paths] == ["7.jpg"]
    again = copy.deepcopy(data.valid_set)
    assert np.array_equal(again[0].image, data.valid_set[0].image)
    assert not list(Path("/dev/shm").glob(f"lightning_tasks-*/{tmp_path.name}*.pixels"))


@pytest.mark.parametrize(
    ("cls", "more"),
    [
        (MultiLabelDataModule, {"cache": "ram", "start_size": 32, "mixup_alpha": 0.4}),
        (MultiLabelDataModule, {"cache": "disk", "on_bad_image": "skip", "max_bad_fraction": 0.5}),
        (MultiLabelDataModule, {"cache": "auto", "device_cache": True}),
        (KeypointDataModule, {"cache": "ram", "swap_pairs": [("l", "r")]}),
        (KeypointDataModule, {"cache": "none", "on_bad_image": "skip", "max_bad_fraction": 0.5}),
    ],
)
def test_what_loads_can_be_sent_to_processes_that_are_not_forked(tmp_path, cls, more):
    (write_multilabel if cls is MultiLabelDataModule else write_points)(
        tmp_path / "data", LABELS if cls is MultiLabelDataModule else POINTS
    )
    data = cls(str(tmp_path / "data"), size=48, batch_size=2, num_workers=0, cache_dir=str(tmp_path / "c"), **more)
    data.setup("fit")
    for loader in (data.train_dataloader(), data.val_dataloader()):
        with contextlib.ExitStack() as stack:  # as while a process is started: tensors are then shared
            stack.enter_context(mock.patch("multiprocessing.context._tls.spawning_popen", True, create=True))
            sent = pickle.dumps((loader.dataset, loader.collate_fn, loader.worker_init_fn))
        assert len(sent) < 100_000
        dataset, collate, _ = pickle.loads(sent)
        indices = list(loader.sampler)[:2]
        ours, theirs = (
            c([d[i] for i in indices]) for d, c in ((loader.dataset, loader.collate_fn), (dataset, collate))
        )
        assert str(ours) == str(theirs)


def test_a_copy_of_a_cache_without_a_name_outlives_the_first(paths, tmp_path):
    first = opened(paths, tmp_path).cache
    first.remove_name()
    copied = copy.deepcopy(first)
    expected = first[1].image
    del first
    gc.collect()
    assert np.array_equal(pickle.loads(pickle.dumps(copied))[1].image, expected)


KILLED = """
import os, signal, sys
from pathlib import Path
from lightning_tasks import MultiLabelDataModule

if __name__ == "__main__":
    data = MultiLabelDataModule(sys.argv[1], size=16, batch_size=2, num_workers=1, cache="ram")
    data.setup("fit")
    loader = data.train_dataloader()
    loader.multiprocessing_context = sys.argv[2]
    assert next(iter(loader)).images.shape == (2, 3, 16, 16)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.processes
def test_nothing_is_left_in_memory_after_a_kill(tmp_path):
    """Nor a process that has it open: with the fork server, one and its worker would wait for each other for ever."""
    write_multilabel(tmp_path, LABELS)
    (tmp_path / "killed.py").write_text(KILLED)
    command = [sys.executable, str(tmp_path / "killed.py"), str(tmp_path), "forkserver"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90)
    assert process.returncode == -signal.SIGKILL, process.stderr
    assert not list(Path("/dev/shm").glob(f"lightning_tasks-*/{tmp_path.name}*.pixels"))


def test_points_follow_a_reduced_image(tmp_path):
    write_points(tmp_path, POINTS)
    small, whole = (
        KeypointDataModule(str(tmp_path), size=8, num_workers=0, batch_size=2, decode_side=side) for side in (12, 0)
    )
    for data in (small, whole):
        data.setup("fit")
    assert small.valid_set.images[0].image.shape == (12, 16, 3)
    for row in range(2):
        a, b = small.valid_set[row], whole.valid_set[row]
        np.testing.assert_allclose(a.points_norm, b.points_norm, atol=1e-5)
        assert a.original_size_px == b.original_size_px == (32, 24)


def test_settings_that_make_no_sense_are_told(tmp_path):
    for more, message in (
        ({"cache_limit_gb": 0.0}, "cache_limit_gb is 0.0"),
        ({"decode_side": 4}, "decode_side is 4"),
        ({"device_cache": True, "cache": "none"}, "device_cache needs"),
    ):
        with pytest.raises(ConfigError, match=message):
            module(tmp_path, **more)
    assert "cache" not in module(tmp_path).hparams
    assert "decode_side" in module(tmp_path).hparams
