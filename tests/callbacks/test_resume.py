"""Runs that are killed and resumed end as those that were not: real processes, killed with SIGKILL."""

import csv
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest
import torch
import yaml

from lightning_tasks.__main__ import console
from lightning_tasks.errors import CheckpointError
from tests.callbacks import Stopped
from tests.fakes import FLAGS, write_multilabel
from tests.forks import forks_can_train
from tests.training.small_runs import (
    BATCHES,
    CONF,
    LABELS,
    STEPS,
    N,
    arguments,
    assert_same,
    result,
    start,
    write_data,
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_data()
    return tmp_path


def kill(how, step, moment, *args):
    """Run until the hook in a fork of this process, which has torch, or in a new one, and see it killed there."""
    killer = {"class_path": "tests.callbacks.Killer", "init_args": {"step": step, "moment": moment}}
    args = arguments(*args, callbacks=[killer])
    if how == "fork" and forks_can_train():
        process = multiprocessing.get_context("fork").Process(target=console, args=(args,))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    else:
        process = start(args)
        _, error = process.communicate()
        assert process.returncode == -signal.SIGKILL, error


KILLS = [
    ("labels", 1, "on_train_batch_end", ["--last.every_n_steps", "1", "--data.num_workers", "0"]),
    ("labels", 3, "on_train_batch_start", ["--data.num_workers", "2"]),  # the boundary of the stages
    ("points", 5, "on_train_batch_end", ["--last.every_n_steps", "2", "--data.num_workers", "1"]),
    ("labels", 6, "on_validation_end", ["--data.mixup_alpha", "0.4", "--data.num_workers", "1"]),
    ("points", 8, "on_train_epoch_end", ["--last.every_n_steps", "4"]),
]


@pytest.mark.parametrize(
    ("how", "task", "step", "moment", "more"),
    [
        *(("fork", *kill) for kill in KILLS[1:4]),
        *(pytest.param("process", *kill, marks=pytest.mark.processes) for kill in KILLS),
    ],
)
def test_a_run_that_was_killed_ends_as_one_that_was_not(how, task, step, moment, more):
    assert console(arguments(task, *more)) == 0
    kill(how, step, moment, task, *more)
    assert console(arguments(task, *more, "--ckpt_path", "last")) == 0
    assert [path.name for path in sorted(Path("runs/run").iterdir())] == ["version_0", "version_1"]
    assert result(0)[1]["global_step"] == STEPS
    assert_same(result(0), result(1))


@pytest.mark.parametrize("stops", ["some", pytest.param("all", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "more",
    [
        [],
        ["--config", str(CONF / "ema.yaml")],
        ["--trainer.accumulate_grad_batches", "2"],
        ["--trainer.check_val_every_n_epoch", "null", "--trainer.val_check_interval", "4"],
        ["--trainer.check_val_every_n_epoch", "2", "--trainer.val_check_interval", "1"],
    ],
)
def test_stopped_before_each_step_in_turn_it_goes_on_each_time(more, stops):
    task = "labels" if more else "points"
    options = [*more, "--last.every_n_steps", "1"]
    assert console(arguments(task, *options)) == 0
    steps, resume = result(0)[1]["global_step"], []
    for step in range(1, steps) if stops == "all" else (2, steps - 2):
        stopper = {"class_path": "tests.callbacks.Stopper", "init_args": {"step": step}}
        with pytest.raises(Stopped):
            console(arguments(task, *options, *resume, callbacks=[stopper]))
        resume = ["--ckpt_path", "last"]
    assert console(arguments(task, *options, *resume)) == 0
    assert len(list(Path("runs/run").iterdir())) == 2
    assert_same(result(0), result(1))


def test_rare_labels_are_drawn_and_weighed_after_a_stop_within_an_epoch_as_without():
    write_multilabel(Path("labels"), [LABELS[0], LABELS[1].replace("dog", "dog rare"), *LABELS[2:]], N)
    options = ["--data.oversample_threshold", "1", "--model.pos_weight", "balanced", "--last.every_n_steps", "1"]
    options += ["--config", str(CONF / "ema.yaml")]
    rows = {"class_path": "tests.callbacks.RowRecorder", "init_args": {"folder": "."}}
    assert console(arguments("labels", *options, callbacks=[rows])) == 0
    drawn = Path("rows0").read_text().splitlines()
    assert any(len(set(line.split())) < 3 for line in drawn) or len(set(" ".join(drawn[:3]).split())) < 9
    stopper = {"class_path": "tests.callbacks.Stopper", "init_args": {"step": 5}}
    with pytest.raises(Stopped):
        console(arguments("labels", *options, callbacks=[rows, stopper]))
    assert console(arguments("labels", *options, "--ckpt_path", "last", callbacks=[rows])) == 0
    assert Path("rows0").read_text().splitlines() == [*drawn, *drawn]
    assert_same(result(0), result(1))
    assert result(0)[1]["hyper_parameters"]["pos_weight"] == [1.0, 1.0, 9.0]


def test_a_run_that_had_ended_goes_on_when_given_more_epochs():
    flat = ["--trainer.callbacks", "[]", "--trainer.log_every_n_steps", "1"]
    assert console(arguments("points", *flat, "--trainer.max_epochs", "4")) == 0
    assert console(arguments("points", *flat, "--trainer.max_epochs", "2")) == 0
    assert console(arguments("points", *flat, "--trainer.max_epochs", "2", "--ckpt_path", "last")) == 0  # nothing to do
    assert console(arguments("points", *flat, "--trainer.max_epochs", "4", "--ckpt_path", "last")) == 0
    assert_same(result(0), result(1))


def test_the_best_checkpoint_starts_a_run_of_its_own_after_its_epoch():
    flat = ["--trainer.callbacks", "[]", "--trainer.log_every_n_steps", "1", "--checkpoint.monitor", "null"]
    assert console(arguments("points", *flat, "--trainer.max_epochs", "4")) == 0
    assert console(arguments("points", *flat, "--trainer.max_epochs", "2")) == 0
    best = "runs/run/version_1/checkpoints/best.ckpt"
    assert console(arguments("points", *flat, "--trainer.max_epochs", "4", "--ckpt_path", best)) == 0
    whole, rest = result(0), result(2)
    assert all(torch.equal(value, rest[1]["state_dict"][key]) for key, value in whole[1]["state_dict"].items())
    with Path("runs/run/version_2/metrics.csv").open() as file:
        assert {row["epoch"] for row in csv.DictReader(file)} == {"2", "3"}


def test_time_slots_that_end_within_epochs_add_up_to_a_whole_run():
    """Three slots: four steps, three, and the rest; an epoch has three."""
    stop = {"class_path": "tests.callbacks.StopAfter", "init_args": {"steps": 4}}
    one_cycle = {"class_path": "OneCycle"}

    def slot(*callbacks, more=()):
        Path("slot.yaml").write_text(yaml.safe_dump({"trainer": {"callbacks": [one_cycle, *callbacks]}}))
        small = ["--config", str(CONF / "keypoints.yaml"), "--config", "slot.yaml", *FLAGS, "--data.root", "points"]
        sizes = ["--data.size", "32", "--data.batch_size", "3", "--model.pretrained", "false", "--run_name", "run"]
        return console(["fit", *small, *sizes, "--trainer.max_epochs", "3", "--trainer.log_every_n_steps", "1", *more])

    assert slot() == 0
    assert slot(stop) == 0
    assert result(1)[1]["global_step"] == 4
    assert slot({**stop, "init_args": {"steps": 7}}, more=["--ckpt_path", "last"]) == 0
    assert slot(more=["--ckpt_path", "last"]) == 0
    whole, slots = result(0)[1], result(1)[1]
    assert slots["global_step"] == STEPS
    assert all(torch.equal(value, slots["state_dict"][key]) for key, value in whole["state_dict"].items())


def test_a_run_that_stopped_early_stays_at_its_end():
    early = {"class_path": "EarlyStopping", "init_args": {"monitor": "val/loss", "patience": 1, "min_delta": 9.0}}
    assert console(arguments("points", callbacks=[early])) == 0
    before = result(0)
    assert before[1]["global_step"] == 2 * BATCHES
    for _ in range(2):
        assert console(arguments("points", "--ckpt_path", "last", callbacks=[early])) == 0
    assert_same(before, result(0))


def test_hooks_at_an_epochs_start_run_in_a_run_that_goes_on_there():
    seen = {"class_path": "tests.callbacks.EpochStarts", "init_args": {"file": "starts"}}
    assert console(arguments("points", callbacks=[seen])) == 0
    stopper = {"class_path": "tests.callbacks.Stopper", "init_args": {"step": 2 * BATCHES}}
    with pytest.raises(Stopped):
        console(arguments("points", callbacks=[seen, stopper]))
    assert console(arguments("points", "--ckpt_path", "last", callbacks=[seen])) == 0
    assert Path("starts").read_text().split() == ["0", "1", "2", "0", "1", "2", "2"]


def test_another_logger_leaves_the_checkpoint_in_the_runs_folder(capsys):
    other = ["--trainer.logger", "CSVLogger", "--trainer.logger.save_dir", "mylogs"]
    assert console(arguments("points", *other)) == 0
    assert "last checkpoint  runs/run/version_0/checkpoints/last.ckpt" in capsys.readouterr().out
    assert Path("runs/run/version_0/checkpoints/last.ckpt").is_file()
    assert not list(Path("mylogs").rglob("last.ckpt"))
    assert console(arguments("points", *other, "--ckpt_path", "last")) == 0


def test_several_best_checkpoints_have_names_of_their_own(capsys):
    top = ["--checkpoint.save_top_k", "2", "--checkpoint.monitor", "val/loss", "--checkpoint.mode", "min"]
    assert console(arguments("points", *top)) == 0
    with Path("runs/run/version_0/metrics.csv").open() as file:
        losses = {row["epoch"]: float(row["val/loss"]) for row in csv.DictReader(file) if row["val/loss"]}
    best = sorted(losses, key=losses.get)[:2]
    files = {path.name for path in Path("runs/run/version_0/checkpoints").iterdir()}
    assert files == {"last.ckpt", *(f"best-{epoch}.ckpt" for epoch in best)}
    assert f"best-{best[0]}.ckpt" in capsys.readouterr().out


def test_with_a_loader_of_ones_own_the_replay_is_told(tmp_path):
    own = ["fit", "--model", "tests.own_classes.OwnModel", "--data", "tests.own_classes.OwnData", "--run_name", "run"]
    settings = ["--trainer.accelerator", "cpu", "--trainer.max_epochs", "2", "--last.every_n_steps", "1"]
    stopper = {"class_path": "tests.callbacks.Stopper", "init_args": {"step": 3}}
    Path("stop.yaml").write_text(yaml.safe_dump({"trainer": {"callbacks": [stopper]}}))
    with pytest.raises(Stopped):
        console([*own, *settings, "--config", "stop.yaml"])
    with pytest.warns(UserWarning, match="your dataloader is not resumable"):
        console([*own, *settings, "--ckpt_path", "last"])


def test_nothing_to_go_on_with_is_told(capsys):
    assert console(arguments("points", "--ckpt_path", "last")) == 2
    assert "There is no run in runs/run to resume" in capsys.readouterr().err
    Path("runs/run/version_3").mkdir(parents=True)
    assert console(arguments("points", "--ckpt_path", "last")) == 2
    assert "runs/run/version_3, has no checkpoints/last.ckpt" in capsys.readouterr().err
    assert not list(Path("runs/run/version_3").iterdir())


def test_a_checkpoint_makes_room_for_a_better_one_when_that_is_in_its_place(tmp_path, monkeypatch):
    from lightning_tasks.checkpoint import AtomicCheckpointIO

    io = AtomicCheckpointIO()
    io.save_checkpoint({"a": torch.zeros(1)}, tmp_path / "old.ckpt")
    io.in_background = True
    fsync = os.fsync
    monkeypatch.setattr("os.fsync", lambda descriptor: (time.sleep(0.2), fsync(descriptor)))
    io.save_checkpoint({"a": torch.ones(1)}, tmp_path / "better.ckpt")
    io.remove_checkpoint(tmp_path / "old.ckpt")
    assert [path.name for path in tmp_path.glob("*.ckpt")] == ["better.ckpt"]
    io.save_checkpoint({"a": torch.ones(2)}, tmp_path / "better.ckpt")
    assert len(io.load_checkpoint(tmp_path / "better.ckpt")["a"]) == 2
    io.teardown()


@pytest.mark.parametrize("in_background", [False, True])
def test_a_full_disk_keeps_the_old_checkpoint(tmp_path, monkeypatch, in_background):
    from lightning_tasks.checkpoint import AtomicCheckpointIO

    io = AtomicCheckpointIO()
    io.in_background = in_background
    io.save_checkpoint({"a": torch.ones(3)}, tmp_path / "x.ckpt")

    def full(*args):
        raise OSError(28, "No space left on device")

    io.settle()
    monkeypatch.setattr("os.fsync", full)
    if in_background:
        io.save_checkpoint({"a": torch.zeros(3)}, tmp_path / "x.ckpt")
    with pytest.raises(
        CheckpointError, match=r"x\.ckpt cannot be written \(No space left.*What it held before is intact"
    ):
        io.teardown() if in_background else io.save_checkpoint({"a": torch.zeros(3)}, tmp_path / "x.ckpt")
    assert torch.load(tmp_path / "x.ckpt", weights_only=True)["a"].sum() == 3
    assert [path.name for path in tmp_path.glob("*ckpt*")] == ["x.ckpt"]
