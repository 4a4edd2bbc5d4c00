"""A loss that is no number ends the training: the batch is named, and nothing is written that holds such weights."""

import re
from pathlib import Path

import pytest
import torch
import yaml

from lightning_tasks.__main__ import console
from tests.fakes import FLAGS
from tests.training.small_runs import LABELS, arguments, last, start, write_data


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_data()


def poison(step, **more):
    return {"class_path": "tests.callbacks.Poison", "init_args": {"step": step, **more}}


def weights_are_finite(version=0):
    return all(weight.isfinite().all() for weight in last(version)["state_dict"].values())


def test_the_batch_its_rates_and_the_last_good_checkpoint_are_named(capsys):
    assert console(arguments("labels", callbacks=[poison(5)])) == 2
    said = capsys.readouterr().err
    assert re.search(
        r"(?m)^error: The loss is nan in step 5 \(epoch 1, batch 2; "
        r"learning rates: early \S+e-\d\d, .*head \S+e-\d\d.*\)\. "
        r"The batch's images: labels/\d\.jpg, labels/\d\.jpg, labels/\d\.jpg\. "
        r"The last good checkpoint is runs/run/version_0/checkpoints/last\.ckpt\. Look at",
        said,
    ), said
    assert "Traceback" not in said
    assert last(0)["global_step"] == 3  # of the epoch's start
    assert weights_are_finite()


def test_the_images_are_those_of_the_batch(capsys):
    """With batches of the whole split there is but one answer; more than eight are listed in a file."""
    assert console(arguments("labels", "--data.batch_size", "10", callbacks=[poison(1)])) == 2
    said = capsys.readouterr().err
    assert "and 2 more, all of them in runs/run/version_0/non_finite_batch.txt" in said
    names = Path("runs/run/version_0/non_finite_batch.txt").read_text().split()
    assert sorted(names) == sorted(f"labels/{line.partition(',')[0]}" for line in LABELS[1:] if line.endswith("False"))


def test_a_rate_far_too_high_is_stopped(capsys):
    assert (
        console(arguments("points", "--trainer.callbacks", "[]", "--model.lr", "1e38", "--trainer.max_epochs", "9"))
        == 2
    )
    assert re.search(r"The loss is (nan|inf) in step [1-9]", capsys.readouterr().err)
    assert weights_are_finite()


def test_weights_that_are_not_finite_are_not_saved(capsys):
    """The last step's gradient: no loss follows that would tell."""
    assert console(arguments("labels", callbacks=[poison(8, gradient=True)])) == 2
    assert re.search(
        r"After 9 steps there are weights that are not finite, head\.\S+ among them\.", capsys.readouterr().err
    )
    assert last(0)["global_step"] == 6
    assert weights_are_finite()
    best = torch.load("runs/run/version_0/checkpoints/best.ckpt", weights_only=True)
    assert all(weight.isfinite().all() for weight in best["state_dict"].values())


def test_losses_are_looked_at_together_where_waiting_costs(monkeypatch, capsys):
    """As on a GPU: every `log_every_n_steps` steps, yet the step that is named is the first, and nothing is saved."""
    monkeypatch.setattr("lightning_tasks.callbacks.finite_loss._SYNCHRONOUS_DEVICES", ())
    more = ["--trainer.log_every_n_steps", "4", "--last.every_n_steps", "2", "--trainer.max_epochs", "1"]
    assert console(arguments("labels", "--data.batch_size", "2", *more, callbacks=[poison(1)])) == 2
    assert "The loss is nan in step 1 (epoch 0, batch 1;" in capsys.readouterr().err
    assert last(0)["global_step"] == 0
    assert weights_are_finite()


@pytest.mark.processes
def test_every_process_stops_and_says_what_happened_on_one():
    two = ["--trainer.devices", "2", "--trainer.strategy", "ddp", "--data.batch_size", "2"]
    process = start(arguments("labels", *two, callbacks=[poison(3, rank=1)]), OMP_NUM_THREADS="1")
    _, error = process.communicate(timeout=120)
    assert process.returncode == 2, error
    assert "Traceback" not in error
    assert re.search(r"error: The loss is nan in step 3 .* images: labels/\d\.jpg, labels/\d\.jpg\.", error), error


def test_a_models_own_batches_need_no_rows(capsys):
    own = ["fit", "--model", "tests.own_classes.OwnModel", "--data", "tests.own_classes.OwnData", "--run_name", "run"]
    Path("nan.yaml").write_text(yaml.safe_dump({"trainer": {"callbacks": [poison(2)]}}))
    assert console([*own, "--config", "nan.yaml", "--trainer.accelerator", "cpu", "--trainer.max_epochs", "2"]) == 2
    assert re.search(r"The loss is nan in step 2 \(epoch \d, batch \d; .*\)\. The last good", capsys.readouterr().err)


@pytest.mark.parametrize("task", ["labels", "points"])
def test_a_model_that_predicts_nan_is_not_scored(task, capsys):
    assert console(arguments(task, "--trainer.max_steps", "1")) == 0
    checkpoint = last(0)
    poisoned = next(key for key in checkpoint["state_dict"] if key.startswith("head") and key.endswith("weight"))
    checkpoint["state_dict"][poisoned].fill_(float("nan"))
    torch.save(checkpoint, "nan.ckpt")
    capsys.readouterr()
    for verb, data in (("validate", []), ("test", ["--data.test_csv", f"{task}.csv"])):
        assert console([verb, "nan.ckpt", *data, *FLAGS]) == 2, verb
        said = capsys.readouterr()
        assert "error: The model predicts NaN" in said.err
        assert "/loss" not in said.out
