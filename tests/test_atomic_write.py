"""Files are whole, whoever writes them at the same time and whatever is killed."""

import csv
import errno
import multiprocessing
import os
import signal
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from lightning_tasks import atomic_write, metrics_csv
from lightning_tasks.atomic_write import put_whole, remove_leftovers
from lightning_tasks.checkpoint import AtomicCheckpointIO, read_checkpoint, write_checkpoint

forked = pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="there is no fork")


def write_slowly(path, n, pause_s=0.0):
    def write(new):
        with new.open("w") as file:
            for _ in range(20):
                file.write(f"{n}\n")
                file.flush()
                time.sleep(pause_s)

    put_whole(path, write)


def read_lines(path):
    return set(path.read_text().split())


WRITERS = {
    "file": (lambda path, n: write_slowly(path, n, 0.0005), read_lines),
    "checkpoint": (
        lambda path, n: write_checkpoint({"state_dict": {"w": torch.full((1000,), n)}}, path),
        lambda path: set(read_checkpoint(path)["state_dict"]["w"].tolist()),
    ),
    "metrics": (
        lambda path, n: metrics_csv._write(path, ["step"], [{"step": str(n)}] * 500),
        lambda path: {row["step"] for row in csv.DictReader(path.open())},
    ),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_of_many_threads_that_write_one_file_each_puts_a_whole_one(tmp_path, kind):
    write, read = WRITERS[kind]
    path = tmp_path / "x.csv"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: write(path, n), range(80)))
        assert len(read(path)) == 1
    assert [found.name for found in tmp_path.iterdir()] == ["x.csv"]


def _write_often(path, number):
    for i in range(30):
        write_slowly(path, number * 100 + i, 0.0005)


@forked
def test_of_many_processes_too(tmp_path):
    path = tmp_path / "x.csv"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write_often, args=(path, number)) for number in range(4)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        if path.is_file():
            assert len(read_lines(path)) == 1
    assert [writer.exitcode for writer in writers] == [0] * 4
    assert [found.name for found in tmp_path.iterdir()] == ["x.csv"]


@forked
def test_what_a_kill_leaves_is_removed_and_what_is_being_written_is_not(tmp_path):
    context = multiprocessing.get_context("fork")
    killed, alive = (context.Process(target=write_slowly, args=(tmp_path / name, 1, 0.1)) for name in ("k", "a"))
    for writer, name in ((killed, "k"), (alive, "a")):
        writer.start()
        while not list(tmp_path.glob(f"*/{name}")):
            time.sleep(0.005)
    os.kill(killed.pid, signal.SIGKILL)
    killed.join()
    assert [found.name for found in tmp_path.glob("*/k")] == ["k"]
    (tmp_path / ".new-of-a-user").mkdir()
    atomic_write._tidied.discard(tmp_path)
    put_whole(tmp_path / "b", lambda new: new.write_text("whole"))  # the next write of a new process
    assert not list(tmp_path.glob("*/k"))
    alive.join()
    assert alive.exitcode == 0
    assert sorted(found.name for found in tmp_path.iterdir()) == [".new-of-a-user", "a", "b"]


def test_a_failure_leaves_what_was_there(tmp_path):
    (tmp_path / "x").write_text("before")

    def fail(new):
        new.write_text("half")
        new.with_suffix(".json").write_text("beside")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        put_whole(tmp_path / "x", fail)
    assert [found.name for found in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_text() == "before"


def test_a_checkpoint_lies_in_its_place_once_it_is_settled(tmp_path, monkeypatch):
    io, path, fsync, may_sync = AtomicCheckpointIO(), tmp_path / "last.ckpt", os.fsync, threading.Event()
    io.in_background = True
    monkeypatch.setattr("os.fsync", lambda descriptor: may_sync.wait(30) and fsync(descriptor))
    weight = torch.zeros(3)
    io.save_checkpoint({"w": weight}, path)  # comes back, though the disk takes its time
    weight += 1  # the training goes ahead
    assert not path.exists()
    may_sync.set()
    io.save_checkpoint({"w": weight}, tmp_path / "best.ckpt")
    io.settle()
    assert read_checkpoint(path)["w"].tolist() == [0, 0, 0]
    io.save_checkpoint({"w": weight}, path)
    io.remove_checkpoint(path)
    io.teardown()
    assert [found.name for found in tmp_path.iterdir()] == ["best.ckpt"]
    io.save_checkpoint({"w": weight}, path)  # after the training
    assert read_checkpoint(path)["w"].tolist() == [1, 1, 1]


def test_the_mode_is_as_the_umask_has_it(tmp_path):
    before = os.umask(0o027)
    try:
        put_whole(tmp_path / "x", lambda new: os.close(os.open(new, os.O_CREAT | os.O_WRONLY, 0o600)))
        write_checkpoint({}, tmp_path / "last.ckpt")
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o640}


def test_a_name_may_be_as_long_as_the_system_takes_it(tmp_path):
    path = tmp_path / ("x" * 251 + ".csv")
    put_whole(path, lambda new: new.write_text("whole"))
    assert path.read_text() == "whole"


def test_a_writer_whose_folder_was_taken_for_a_leftover_takes_another(tmp_path, monkeypatch):
    lock, calls = atomic_write.fcntl.flock, []

    def late(descriptor, how):
        calls.append(how)
        if len(calls) == 1:
            remove_leftovers(tmp_path)
        lock(descriptor, how)

    atomic_write._tidied.add(tmp_path)
    monkeypatch.setattr(atomic_write.fcntl, "flock", late)
    put_whole(tmp_path / "x", lambda new: new.write_text("whole"))
    assert (tmp_path / "x").read_text() == "whole"
    assert len(calls) == 3
    assert [found.name for found in tmp_path.iterdir()] == ["x"]


def record_syncs(monkeypatch, path):
    """Note each fsync by what it was of, and whether `path` had its name already."""
    events, fsync = [], os.fsync

    def note(descriptor):
        found = os.fstat(descriptor)
        events.append(("folder" if stat.S_ISDIR(found.st_mode) else found.st_size, path.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    return events


@pytest.mark.parametrize("kind", WRITERS)
def test_content_is_on_the_disk_before_its_name_is_and_then_the_name(tmp_path, monkeypatch, kind):
    path = tmp_path / "x"
    events = record_syncs(monkeypatch, path)
    WRITERS[kind][0](path, 1)
    assert events == [(path.stat().st_size, False), ("folder", True)]


def test_a_file_system_that_cannot_sync_is_no_error_and_a_disk_that_fails_is(tmp_path, monkeypatch):
    def fail(descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    number = errno.EINVAL
    put_whole(tmp_path / "x", lambda new: new.write_text("whole"))
    number = errno.EIO
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        put_whole(tmp_path / "x", lambda new: new.write_text("new"))
    assert (tmp_path / "x").read_text() == "whole"
