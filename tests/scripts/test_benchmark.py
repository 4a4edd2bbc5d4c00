"""scripts/benchmark.py: its arithmetic, its tables, its smallest run. No times are asserted but that there are some."""

import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lightning_tasks.errors import TableError

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import benchmark  # noqa: E402 - it lies beside the package, not in it
from benchmarking import clock, images, parts, process, summary  # noqa: E402
from benchmarking.case import Case, fit_arguments, frozen, one_cycle  # noqa: E402

KEYS = {
    *("task", "backbone", "size", "precision", "compile", "n", "n_valid", "batch_size", "rounds"),
    *("epoch_s", "ceiling_s", "loader_s", "fastai_s", "frozen_epoch_s"),
    *("over_ceiling", "over_ceiling_range", "over_fastai", "over_fastai_range", "over_frozen", "over_frozen_range"),
    *("ceiling_train_images_s", "ceiling_valid_images_s", "plain_train_images_s", "plain_valid_images_s"),
    *("peak_rss_mb", "peak_anonymous_mb", "gpu_busy_share"),
}
TINY = ["--quick", "--images", "8", "--batch-size", "4", "--backbone", "test_resnet", "--size", "32x40"]


def a_case(**changes):
    given = {"task": "labels", "backbone": "test_resnet", "size": (32, 40), "batch_size": 4, "precision": None}
    given |= {"compile": False, "csv": Path("t.csv"), "images": Path("images"), "weights": None}
    return Case(**given | changes)


def test_ratios_are_of_each_round():
    measured = summary.with_ratios({"epoch_s": 4.0, "ceiling_s": 3.0, "fastai_s": None, "frozen_epoch_s": 2.0})
    assert (measured["over_ceiling"], measured["over_fastai"], measured["over_frozen"]) == (0.75, None, 2.0)
    assert measured["beside_steps_s"] == 1.0
    assert summary.with_ratios({"epoch_s": 4.0, "ceiling_s": None})["beside_steps_s"] is None


def test_a_case_has_medians_of_ratios_not_ratios_of_medians():
    seconds = [(4.0, 3.0), (2.0, 1.0), (10.0, 9.0)]
    rounds = [summary.with_ratios({"epoch_s": e, "ceiling_s": c, "peak_rss_mb": e}) for e, c in seconds]
    record = summary.case_record(a_case(), {"precision": "32-true"}, rounds)
    assert (record["epoch_s"], record["ceiling_s"], record["peak_rss_mb"]) == (4.0, 3.0, 10.0)
    assert (record["over_ceiling"], record["over_ceiling_range"]) == (0.75, [0.5, 0.9])
    assert record["fastai_s"] is record["over_fastai"] is record["over_fastai_range"] is None


def test_time_covered_twice_counts_once():
    assert clock.covered_us([(0, 4), (2, 3), (3, 6), (10, 11)]) == 7
    assert clock.covered_us([]) == 0


def test_a_csv_is_cut_to_its_first_rows(tmp_path):
    source = tmp_path / "all.csv"
    lines = ["fname,labels,is_valid", "a,x,True", "b,x,False", "c,y,True", 'd,"x, z",False', "e,y,False", "f,,True"]
    source.write_text("\n".join(lines) + "\n")
    images.cut_csv(source, tmp_path / "some.csv", 2)
    with (tmp_path / "some.csv").open() as file:
        rows = list(csv.DictReader(file))
    # c's label is not among those of b and d
    assert [row["fname"] for row in rows] == ["a", "b", "d", "f"]
    assert rows[2]["labels"] == "x, z"


@pytest.mark.parametrize("lines", [["fname,labels", "a,x"], ["fname,labels,is_valid", "a,x,False"]])
def test_a_csv_that_cannot_be_cut_is_named(tmp_path, lines):
    (tmp_path / "all.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(TableError, match=r"all\.csv"):
        images.cut_csv(tmp_path / "all.csv", tmp_path / "some.csv", 2)


def test_an_epoch_is_cut_into_batches_as_the_loaders_do():
    class Data:
        batch_size, train_set, valid_set = 4, range(10), range(9)

    assert parts.plan_of(Data, None) == ([4, 4], [4, 4, 1])
    assert parts.plan_of(Data, 3) == ([4] * 3, [4] * 3)
    Data.train_set = range(3)
    assert parts.plan_of(Data, None).train == [3]


def test_a_case_narrows_the_command_line():
    arguments = fit_arguments(a_case(precision="bf16-mixed", compile=True), [frozen()], Path("runs"))
    assert {"--trainer.precision", "bf16-mixed", "--model.compile"} <= set(arguments)
    assert not {"--trainer.precision", "--model.compile"} & set(fit_arguments(a_case(), [one_cycle()], Path("runs")))


def test_the_frozen_epoch_is_frozen(tmp_path, monkeypatch):
    """The epoch that is measured, in this process, of which it leaves no thread or worker."""
    (case,) = benchmark.cases_of(benchmark.parse([*TINY, "--task", "labels"]), tmp_path)
    trained = []

    class Spy(clock.EpochClock):
        def on_train_batch_end(self, trainer, pl_module, *args):
            late = [parameter.requires_grad for parameter in pl_module.backbone.parameters()]
            trained.append((trainer.current_epoch, any(late)))
            super().on_train_batch_end(trainer, pl_module, *args)

    monkeypatch.setattr(clock, "EpochClock", Spy)
    spy = {"class_path": "benchmarking.clock.EpochClock"}
    spy["init_args"] = {"file": str(tmp_path / "part.json"), "profiled": True}  # the GPU's way, on any machine
    arguments = fit_arguments(case, [frozen(), spy], tmp_path / "runs")
    parts.main(["epoch", "unused", *arguments, "--data.num_workers", "0", "--trainer.accelerator", "cpu"])
    assert [epoch for epoch, _ in trained] == [0, 0, 1, 1, 2]
    assert not any(some for epoch, some in trained if epoch < 2)
    assert json.loads((tmp_path / "part.json").read_text())["gpu_busy_share"] is not None


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").is_file(), reason="needs Linux's smaps_rollup")
def test_memory_is_that_of_the_whole_session(tmp_path):
    held = "import time; held = bytearray(b'x') * 60_000_000; time.sleep(1.5)"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {held!r}])"
    memory = process.run_part([sys.executable, "-c", child], dict(os.environ), tmp_path)
    assert memory.rss_mb >= memory.anonymous_mb >= 60


def test_a_part_that_fails_says_why(tmp_path):
    with pytest.raises(process.PartError, match=r"(?s)ended with 1.*ZeroDivisionError"):
        process.run_part([sys.executable, "-c", "1 / 0"], dict(os.environ), tmp_path)


def test_a_failure_is_shown_and_exits_with_1(monkeypatch, capsys):
    def fails(*args):
        raise process.PartError("ended with 1: it broke")

    monkeypatch.setattr(benchmark, "run_part", fails)
    monkeypatch.setattr(sys, "argv", ["benchmark.py", *TINY, "--task", "labels"])
    assert benchmark.main() == 1
    assert "it broke" in capsys.readouterr().err


@pytest.mark.processes
def test_the_loaders_are_measured_in_a_process_of_their_own(tmp_path):
    (case,) = benchmark.cases_of(benchmark.parse([*TINY, "--task", "points"]), tmp_path)
    found, memory = benchmark.part("loader", case, tmp_path, [])
    assert found["loader_s"] > 0
    assert memory is None or memory.rss_mb > 0
    assert not (tmp_path / "runs").exists()


def test_the_smallest_run(tmp_path, monkeypatch, capsys):
    """All parts of both tasks, in this process: importing torch for each would take a minute."""

    def in_process(command, env, folder, measuring=None):
        monkeypatch.chdir(folder)
        parts.main([*command[3:], "--data.num_workers", "0", "--trainer.accelerator", "cpu"])
        return process.session_memory(os.getsid(0))

    monkeypatch.setattr(benchmark, "run_part", in_process)
    monkeypatch.setattr(sys, "argv", ["benchmark.py", *TINY, "--output", str(tmp_path / "out" / "b.json")])
    assert benchmark.main() == 0
    result = json.loads((tmp_path / "out" / "b.json").read_text())
    assert {"torch", "torchvision", "lightning", "timm", "python", "fastai"} <= set(result["versions"])
    assert [record["task"] for record in result["cases"]] == ["labels", "points"]
    for record in result["cases"]:
        assert set(record) >= KEYS
        assert (record["n"], record["n_valid"], len(record["rounds"])) == (8, 8, 1)
        for name in ("epoch_s", "ceiling_s", "loader_s", "over_ceiling", "plain_train_images_s"):
            assert record[name] > 0
        assert record["fastai_s"] is record["frozen_epoch_s"] is None
    out = capsys.readouterr().out
    assert "test_resnet, 32×40" in out
    assert "ceiling / our epoch" in out
    assert str(tmp_path) not in json.dumps(result)


def test_a_terminated_run_takes_its_part_along(tmp_path):
    part = "import time; open('up', 'w').close(); time.sleep(60)"
    code = f"""if True:
        import sys, tempfile
        from pathlib import Path
        from benchmarking.process import end_in_order, run_part
        end_in_order()
        with tempfile.TemporaryDirectory() as folder:
            run_part([sys.executable, "-c", {part!r}], {{}}, Path(folder))
    """
    env = {**os.environ, "PYTHONPATH": str(ROOT / "scripts"), "TMPDIR": str(tmp_path)}
    running = subprocess.Popen([sys.executable, "-c", code], env=env)
    while not list(tmp_path.glob("*/up")):
        assert running.poll() is None
        time.sleep(0.1)
    running.terminate()
    assert running.wait(20) == 143
    assert not list(tmp_path.iterdir())
