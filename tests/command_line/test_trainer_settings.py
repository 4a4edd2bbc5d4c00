"""Flags of the Trainer: they do what they say, or one message says why not."""

import sys
from pathlib import Path

import pytest

from lightning_tasks.__main__ import console
from tests.fakes import LABELS, write_multilabel
from tests.quick_runs import BASE, PLAIN, fit, settings, written


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_multilabel(Path("root"), LABELS)


REFUSED = [
    ("barebones true", "trainer.barebones"),
    ("check_val_every_n_epoch 0", "check_val_every_n_epoch is 0"),
    ("val_check_interval 0", "val_check_interval is 0"),
    ("val_check_interval 100", "val_check_interval"),
    ("accumulate_grad_batches 0", "accumulate_grad_batches is 0"),
    ("gradient_clip_val -1", "gradient_clip_val is -1"),
    ("log_every_n_steps -1", "log_every_n_steps is -1"),
    ("strategy foo", "strategy='foo'"),
    ("profiler foo", "profiler"),
    ("accelerator foo", "accelerator"),
    ("max_steps -2", "max_steps"),
    ("devices 0", "devices"),
    ("devices 99999", "trainer.devices is 99999: so many processes"),
]


@pytest.mark.parametrize(("flag", "part"), REFUSED)
def test_a_flag_that_cannot_be_is_refused_in_one_line(flag, part, capsys):
    assert fit(*PLAIN, *f"--trainer.{flag}".split()) == 2
    error = capsys.readouterr().err
    message = error[error.index("error: ") :].strip()
    assert part in message
    assert "\n" not in message
    assert "Traceback" not in error


def test_early_stopping_on_what_is_not_scored_is_told(capsys):
    callback = {"class_path": "EarlyStopping", "init_args": {"monitor": "val/nothing"}}
    assert fit(*settings(callbacks=[callback]), "--model.lr", "0.001") == 2
    assert "error: Early stopping conditioned on metric `val/nothing`" in capsys.readouterr().err


ACCEPTED = [
    "overfit_batches 1",
    "limit_val_batches 0",
    "num_sanity_val_steps 1",
    "check_val_every_n_epoch null",
    "val_check_interval 0.5",
    "use_distributed_sampler true",
    "profiler simple",
]


@pytest.mark.parametrize("flag", ACCEPTED)
def test_a_flag_that_clashes_with_nothing_trains(flag, capsys):
    assert console([*BASE[:-2], *PLAIN, "--trainer.max_epochs", "1", *f"--trainer.{flag}".split()]) == 0
    assert "last checkpoint" in capsys.readouterr().out


def test_a_profile_goes_into_the_runs_folder():
    profiler = {"class_path": "SimpleProfiler", "init_args": {"filename": "profile"}}
    assert fit(*PLAIN, *settings(profiler=profiler)) == 0
    assert {path.name for path in Path().glob("*profile*")} == set()
    assert any("profile" in name for name in written("runs/multi_label/version_0"))


def test_without_checkpoints_there_are_none(capsys):
    assert fit(*PLAIN, "--trainer.enable_checkpointing", "false") == 0
    assert not list(Path("runs").rglob("*.ckpt"))
    assert "checkpoint  " not in capsys.readouterr().out
    assert {"config.yaml", "metrics.csv", "results.png"} <= written("runs/multi_label/version_0")


def test_what_others_raise_keeps_its_traceback(monkeypatch):
    def broken(*args):
        raise ValueError("a fault of ours")

    monkeypatch.setattr("lightning_tasks.callbacks.epoch_table.StartLine.on_train_start", broken)
    with pytest.raises(ValueError, match="a fault of ours"):
        fit(*PLAIN)
    assert sys.exc_info() == (None, None, None)
