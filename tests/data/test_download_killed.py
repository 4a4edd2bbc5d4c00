"""Real processes: killed at every step and at random moments, and two at once.

`LIGHTNING_TASKS_FUZZ=20` tries twenty times as many random moments.
"""

import multiprocessing
import os
import random
import signal
import sys
import time

import pytest

from lightning_tasks.data.download import http as transfer  # noqa: F401 - so that no process has to
from lightning_tasks.data.download.atomic_folder import atomic_folder, is_there
from lightning_tasks.data.download.fetch import fetch
from tests.data.archive_server import PETS, QUICK, entry, serving, tar_of

TIMES = int(os.environ.get("LIGHTNING_TASKS_FUZZ", "1"))
TAR = tar_of(PETS)
_CHANGES = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "os.utime"}

processes = multiprocessing.get_context("fork")  # with everything imported, so that a process takes no second


def get(address, root, kill_at=None):
    """Fetch; in a process of its own, which ends itself before it touches the files for the `kill_at`th time."""
    if kill_at is not None:
        left = kill_at

        def kill(event, args):
            nonlocal left
            if event in _CHANGES and str(root.parent) in str(args[0]):
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(kill)
    fetch(entry(TAR, address), root, (), QUICK)


def start(*args):
    process = processes.Process(target=get, args=args)
    process.start()
    return process


def is_whole(root):
    found = {f"pets/{path.relative_to(root)}": path.read_bytes() for path in root.rglob("*") if path.is_file()}
    return found == PETS


def has_come(root):
    part = root.with_name(f".{root.name}.part")
    return part.stat().st_size if part.is_file() else 0


def check_and_finish(server, root):
    """What a kill leaves is no folder or the whole one; the next run asks for the rest alone, and leaves no traces."""
    assert not root.exists() or is_whole(root)
    published, come = root.exists(), has_come(root)
    server.asked.clear()
    fetch(entry(TAR, server.address), root, (), QUICK)
    assert is_whole(root)
    assert sorted(path.name for path in root.parent.iterdir()) == [root.name, f"{root.name}.sha256"]
    rest = [] if published or come == len(TAR) else [f"bytes={come}-" if come else None]
    assert [asked for _, asked in server.asked] == rest
    return "published" if published else "unpacking" if come == len(TAR) else "fetching" if come else "before"


def test_killed_before_each_step_on_the_disk_it_goes_on(tmp_path):
    seen = set()
    with serving(TAR) as server:
        for step in range(1, 200):
            root = tmp_path / str(step) / "pets"
            process = start(server.address, root, step)
            process.join()
            if process.exitcode == 0:
                break
            assert process.exitcode == -signal.SIGKILL
            root.parent.mkdir(exist_ok=True)
            seen.add(check_and_finish(server, root))
    assert process.exitcode == 0
    assert step > 20
    assert {"before", "unpacking", "published"} <= seen


def test_killed_at_random_moments_it_goes_on(tmp_path):
    draw, seen = random.Random(TIMES), []
    with serving(TAR) as server:
        server.pause_s = 0.002  # 73 pieces, so that most kills fall between them
        start(server.address, tmp_path / "whole" / "pets").join()
        began = time.monotonic()
        start(server.address, tmp_path / "again" / "pets").join()
        takes_s = time.monotonic() - began
        for i in range(6 * TIMES):
            root = tmp_path / str(i) / "pets"
            root.parent.mkdir()
            for _ in range(draw.randint(1, 3)):  # also the process that goes on is killed
                process = start(server.address, root)
                process.join(draw.uniform(0, takes_s))
                process.kill()
                process.join()
            seen.append(check_and_finish(server, root))
    print({moment: seen.count(moment) for moment in sorted(set(seen))})


def test_of_two_at_once_one_fetches(tmp_path):
    with serving(TAR) as server:
        server.pause_s = 0.002
        both = [start(server.address, tmp_path / "pets") for _ in range(2)]
        for process in both:
            process.join()
        assert [process.exitcode for process in both] == [0, 0]
        assert len(server.asked) == 1
        assert server.sent == len(TAR)
    assert is_whole(tmp_path / "pets")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pets", "pets.sha256"]


def test_when_the_one_that_fetches_is_killed_the_one_that_waits_goes_on(tmp_path):
    root = tmp_path / "pets"
    with serving(TAR) as server:
        server.pause_s = 0.005
        first = start(server.address, root)
        while not has_come(root) and first.is_alive():
            time.sleep(0.005)
        second = start(server.address, root)
        time.sleep(0.1)
        first.kill()
        first.join()
        second.join()
        assert second.exitcode == 0
        assert len(server.asked) == 2
        assert server.asked[1][1] is not None
    assert is_whole(root)


def test_a_folder_that_another_process_made_meanwhile_stays(tmp_path):
    with atomic_folder(tmp_path / "pets") as work:
        (work / "mine").touch()
        (tmp_path / "pets").mkdir()
        (tmp_path / "pets" / "theirs").touch()
    assert [path.name for path in (tmp_path / "pets").iterdir()] == ["theirs"]
    assert [path.name for path in tmp_path.iterdir()] == ["pets"]


def test_an_error_leaves_no_folder_and_what_a_kill_left_is_removed(tmp_path):
    (tmp_path / ".pets.new").mkdir()
    (tmp_path / ".pets.new" / "old").touch()
    with pytest.raises(ZeroDivisionError), atomic_folder(tmp_path / "pets") as work:
        1 / len(list(work.iterdir()))
    assert [path.name for path in tmp_path.iterdir()] == [".pets.lock"]
    assert not is_there(tmp_path / "pets")
