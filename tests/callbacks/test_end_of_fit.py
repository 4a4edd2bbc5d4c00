"""Why a training ended, in its last lines; and what is said of scores that are no numbers."""

import math
from datetime import timedelta
from pathlib import Path

import pytest
import torch

from tests.fakes import LABELS, write_multilabel
from tests.quick_runs import PLAIN, fit, scores, settings

LR = ["--model.lr", "0.001"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_multilabel(Path("root"), LABELS)


def stopping(**values):
    values = {"monitor": "val/mAP", "mode": "max", **values}
    return [*settings(callbacks=[{"class_path": "EarlyStopping", "init_args": values}]), *LR]


NAN = math.nan
ENDS = [
    (stopping, {"patience": 2}, [0.5, 0.4, 0.3], "stopped early: val/mAP has not improved on 0.5000 for 2 validations"),
    (stopping, {}, [0.5, NAN], "stopped early: val/mAP is nan, not a finite number"),
    (stopping, {}, [NAN], "stopped early: val/mAP is nan, not a finite number"),
    (stopping, {"stopping_threshold": 0.7}, [0.5, 0.75], "stopped early: val/mAP 0.7500 has reached 0.7, EarlyStop"),
    (stopping, {"divergence_threshold": 0.2}, [0.5, 0.1], "stopped early: val/mAP 0.1000 has passed 0.2, EarlyStop"),
]


@pytest.mark.parametrize(("setting", "values", "scored", "told"), ENDS)
def test_an_early_end_says_why_and_its_resumption_too(setting, values, scored, told, monkeypatch, capsys):
    scores(monkeypatch, *scored)
    arguments = setting(**values)
    assert fit(*arguments, epochs=9) == 0
    said = capsys.readouterr().out
    assert said.index(told) < said.index("best checkpoint")
    again(*arguments, told="without EarlyStopping it continues", capsys=capsys)


def again(*arguments, told, capsys, epochs=9):
    before = Path("runs/multi_label/version_0/metrics.csv").read_bytes()
    assert fit(*arguments, "--ckpt_path", "last", epochs=epochs) == 0
    said = capsys.readouterr().out
    assert "the run was over already" in said
    assert told in said
    assert Path("runs/multi_label/version_0/metrics.csv").read_bytes() == before


def test_max_steps_says_so(capsys):
    arguments = [*PLAIN, "--trainer.max_steps", "2"]
    assert fit(*arguments, epochs=9) == 0
    assert "ended: max_steps 2 reached" in capsys.readouterr().out
    again(*arguments, told="a larger --trainer.max_steps continues it", capsys=capsys)
    assert fit(*PLAIN, "--trainer.max_steps", "3", "--ckpt_path", "last", epochs=9) == 0
    assert "ended: max_steps 3 reached" in capsys.readouterr().out


def test_max_time_says_so(monkeypatch, capsys):
    elapsed = iter([1.0, 50.0])
    monkeypatch.setattr("pytorch_lightning.callbacks.Timer.time_elapsed", lambda *_: next(elapsed, 90.0))
    arguments = [*PLAIN, "--trainer.max_time", "00:00:01:00"]
    assert fit(*arguments, epochs=9) == 0
    assert "ended: max_time 00:00:01:00 reached" in capsys.readouterr().out
    again(*arguments, told="a larger --trainer.max_time continues it", capsys=capsys)


def test_a_timer_of_ones_own_says_so(monkeypatch, capsys):
    monkeypatch.setattr("pytorch_lightning.callbacks.Timer.time_elapsed", lambda *_: timedelta(days=2).total_seconds())
    timer = {"class_path": "Timer", "init_args": {"duration": "01:01:01:01", "interval": "epoch"}}
    assert fit(*settings(callbacks=[timer]), *LR, epochs=9) == 0
    assert "max_time 01:01:01:01" in capsys.readouterr().out


def test_the_planned_end_needs_no_words_but_its_resumption_does(capsys):
    assert fit(*PLAIN, epochs=2) == 0
    said = capsys.readouterr().out
    assert not [word for word in ("ended:", "stopped", "over already") if word in said]
    again(*PLAIN, told="max_epochs 2 reached; a larger --trainer.max_epochs continues it", capsys=capsys, epochs=2)
    assert fit(*PLAIN, "--ckpt_path", "last", epochs=3) == 0
    assert "over already" not in capsys.readouterr().out
    assert torch.load("runs/multi_label/version_0/checkpoints/last.ckpt", weights_only=True)["epoch"] == 3


def test_fewer_epochs_than_are_done_say_so_and_change_nothing(capsys):
    assert fit(*PLAIN, epochs=2) == 0
    before = Path("runs/multi_label/version_0/metrics.csv").read_bytes()
    assert fit(*PLAIN, "--ckpt_path", "last", epochs=1) == 2
    assert "has 2 epochs behind it, and trainer.max_epochs is 1" in capsys.readouterr().err
    assert Path("runs/multi_label/version_0/metrics.csv").read_bytes() == before


def test_a_callback_that_stops_is_told(capsys):
    stop = {"class_path": "tests.callbacks.StopAfter", "init_args": {"steps": 2}}
    assert fit(*settings(callbacks=[stop]), *LR, epochs=9) == 0
    assert "ended: a callback stopped it after 2 steps" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--trainer.max_epochs", "0"], "nothing was trained: max_epochs 0 reached"),
        (["--trainer.max_steps", "0"], "nothing was trained: max_steps 0 reached"),
        (["--trainer.limit_train_batches", "0"], "nothing was trained: trainer.limit_train_batches is 0"),
    ],
)
def test_a_training_of_nothing_says_so(more, told, capsys):
    assert fit(*PLAIN, *more) == 0
    said = capsys.readouterr().out
    assert told in said
    assert "checkpoint  " not in said  # there is none


# Scores that are no numbers -----------------------------------------------------------------------------------------


def kept():
    return torch.load("runs/multi_label/version_0/checkpoints/best.ckpt", weights_only=True)["epoch"]


@pytest.mark.parametrize(
    ("scored", "mode", "epoch", "told"),
    [
        ([NAN, NAN, NAN], "max", 2, "the newest, not the best: val/mAP was never a finite number"),
        ([NAN, NAN, NAN], "min", 2, "the newest, not the best: val/mAP was never a finite number"),
        ([NAN, 0.4, NAN], "max", 1, "(val/mAP 0.4000)"),
        ([0.4, NAN, 0.3], "max", 0, "(val/mAP 0.4000)"),
        ([NAN, 0.4, 0.3], "min", 2, "(val/mAP 0.3000)"),
        ([0.4, math.inf, NAN], "min", 0, "(val/mAP 0.4000)"),
    ],
)
def test_the_best_of_scores_that_may_be_nan(scored, mode, epoch, told, monkeypatch, capsys):
    scores(monkeypatch, *scored)
    assert fit(*PLAIN, "--checkpoint.mode", mode, epochs=3) == 0
    said = capsys.readouterr().out
    assert told in said
    assert "inf)" not in said
    assert kept() == epoch


def test_a_run_that_goes_on_knows_that_there_was_no_best(monkeypatch, capsys):
    scores(monkeypatch, NAN, NAN, 0.1, NAN)
    assert fit(*PLAIN, epochs=2) == 0
    assert fit(*PLAIN, "--ckpt_path", "last", epochs=4) == 0
    assert "(val/mAP 0.1000)" in capsys.readouterr().out
    assert kept() == 2


def test_no_positive_in_the_validation_split_is_such_a_case(capsys):
    rows = [line.replace("dog,True", ",True").replace("cat,True", ",True") for line in LABELS]
    write_multilabel(Path("root"), rows)
    assert fit(*PLAIN) == 0
    assert "val/mAP was never a finite number" in capsys.readouterr().out
