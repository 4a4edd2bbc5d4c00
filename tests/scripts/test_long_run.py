"""A short version of the long run, and what the long one would complain of."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from lightning_tasks.__main__ import console

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import long_run  # noqa: E402 - found by the path above
from long_run import Sample  # noqa: E402 - likewise

pytestmark = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="Linux alone tells memory so")


def test_epochs_with_a_worker_are_sampled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    here = SimpleNamespace(run=lambda command, **_: console(command[3:]))  # in place of a process of its own
    monkeypatch.setattr(long_run, "subprocess", here)
    long_run.train("labels", 2, 1, Path("labels.csv"))
    samples = long_run.read(Path("labels.csv"))
    assert [sample.epoch for sample in samples] == [0, 1]
    assert samples[-1].processes >= 3  # this one, and a worker for each split
    assert samples[-1].memory_mb > 100


@pytest.mark.slow
def test_twelve_epochs_with_a_worker_leave_nothing_open_and_keep_no_images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    long_run.train("labels", 12, 1, Path("labels.csv"))
    samples = long_run.read(Path("labels.csv"))
    assert [sample.epoch for sample in samples] == list(range(12))
    assert samples[-1].processes == 3  # a worker for each split, which lives on
    # What an epoch leaves in memory is still settling: more than this would be images, figures or a model.
    assert long_run.judge(samples, most_kb_an_epoch=4000) == []


def sampled(memory_mb, handles):
    return [Sample(epoch, 5, mb, n) for epoch, (mb, n) in enumerate(zip(memory_mb, handles, strict=True))]


def test_the_slope_is_that_of_the_second_half():
    memory = [100 + 50 * min(epoch, 40) / 40 for epoch in range(80)]
    assert long_run.judge(sampled(memory, [90] * 80), most_kb_an_epoch=1) == []
    growing = [value + 0.25 * epoch for epoch, value in enumerate(memory)]
    assert long_run.slope_kb(sampled(growing, [90] * 80)) == pytest.approx(256)
    assert long_run.judge(sampled(growing, [90] * 80), 255) == ["MEMORY GROWS by 256.0 kB an epoch, more than 255"]
    assert long_run.judge(sampled(growing, [90] * 80), 257) == []


def test_one_handle_that_stays_is_noticed_and_those_of_a_batch_on_its_way_are_not():
    flat = [100.0] * 40
    assert long_run.judge(sampled(flat, [50] + [90, 92] * 19 + [90]), 1) == []
    assert long_run.judge(sampled(flat, [50] + [90] * 20 + [91] * 19), 1) == ["HANDLES GROW from 90 to 91"]


def test_a_process_is_measured_with_those_below_it(tmp_path):
    lines = [
        "import sys",
        "kept = [open(sys.argv[0]) for _ in range(7)], bytes(range(256)) * 200_000",
        "print(flush=True)",
    ]
    code = "\n".join([*lines, "input()"])
    alone = long_run.take_sample(0, os.getpid())
    (tmp_path / "child.py").write_text(code)
    with subprocess.Popen(
        [sys.executable, str(tmp_path / "child.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        child.stdout.readline()
        both = long_run.take_sample(0, os.getpid())
        child.stdin.close()
    assert both.processes == alone.processes + 1
    assert both.handles == alone.handles + 2 + 3 + 7  # its two pipes here, and what it has
    assert both.memory_mb > alone.memory_mb + 40
