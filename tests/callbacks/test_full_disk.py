"""Files that cannot be written: real processes whose files may not grow any further, which is what a full disk does."""

import contextlib
import io
import multiprocessing
import resource
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from lightning_tasks.__main__ import console
from tests.forks import forks_can_train
from tests.training.small_runs import ENVIRONMENT, arguments, assert_same, result, write_data

LIMITED = (  # once torch is there: some versions write a file when they are imported
    "import resource, sys, lightning_tasks.cli; resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2); "
    "from lightning_tasks.__main__ import console; sys.exit(console(sys.argv[2:]))"
)
ENDS_AT_3 = {"class_path": "tests.callbacks.StopAfter", "init_args": {"steps": 3}}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_data()


def limited(args, most_bytes):
    """Run the command line where files may not grow any further; return its exit code and what it said."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    said = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        return console(args), said.getvalue()


def run_limited(how, args, most_bytes):
    """Do so in a process that is forked from this one, which has torch, or in one that is started."""
    if how == "fork" and forks_can_train():
        with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as own:
            code, said = own.submit(limited, args, most_bytes).result()
    else:
        command = [sys.executable, "-c", LIMITED, str(most_bytes), *args]
        done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT)
        code, said = done.returncode, done.stderr
    assert code == 2, said
    assert "Traceback" not in said
    return said


HOW = ["fork", pytest.param("process", marks=pytest.mark.processes)]


@pytest.mark.parametrize("how", HOW)
def test_a_checkpoint_that_does_not_fit_leaves_the_one_before(how):
    assert console(arguments("points")) == 0
    assert console(arguments("points", callbacks=[ENDS_AT_3])) == 0
    last = Path("runs/run/version_1/checkpoints/last.ckpt")
    before = last.read_bytes()
    said = run_limited(how, arguments("points", "--ckpt_path", "last"), most_bytes=1_000_000)
    assert "checkpoints/" in said
    assert "cannot be written (File too large). What it held before is intact. Make room, then resume with" in said
    assert last.read_bytes() == before
    assert [path.name for path in last.parent.iterdir() if path.suffix not in (".ckpt",)] == []
    assert console(arguments("points", "--ckpt_path", "last")) == 0
    assert_same(result(0), result(1))


@pytest.mark.parametrize("how", HOW)
def test_metrics_and_events_that_do_not_fit_are_told(how):
    said = run_limited(how, arguments("points", "--last.every_n_steps", "100"), most_bytes=100)
    assert "cannot be written" in said
    assert "File too large" in said
