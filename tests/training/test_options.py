"""What one adds to fastai's training by config: Lightning's own callbacks and flags, on our modules."""

import csv
import re
from pathlib import Path
from unittest import mock

import pytest
import torch
from pytorch_lightning import Callback, Trainer

from lightning_tasks import KeypointDataModule, KeypointRegressor
from lightning_tasks.__main__ import console
from lightning_tasks.cli import TaskCLI
from tests.fakes import FLAGS, LABELS, POINTS, write_multilabel, write_points

CONF = Path(__file__).parents[2] / "conf"
RUN = Path("runs/multi_label/version_0")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_multilabel(Path("root"), LABELS)


def fit(*more):
    small = ["--data.root", "root", "--data.size", "32", "--data.batch_size", "3", "--model.pretrained", "false"]
    return console(["fit", "--config", str(CONF / "multilabel.yaml"), *FLAGS, *small, *more])


def rows():
    with (RUN / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_checkpoint_holds_the_averaged_weights_that_were_validated(capsys):
    assert fit("--config", str(CONF / "ema.yaml"), "--trainer.max_epochs", "3", "--model.lr", "0.1") == 0
    losses = [float(row["val/loss"]) for row in rows() if row["val/loss"]]
    last = torch.load(RUN / "checkpoints" / "last.ckpt", weights_only=True)
    averaged, current = last["state_dict"], last["current_model_state"]
    assert any(not torch.equal(averaged[key], current[key]) for key in averaged)
    capsys.readouterr()
    assert console(["validate", "--ckpt_path", str(RUN / "checkpoints/last.ckpt"), "--data.num_workers", "0"]) == 0
    again = float(re.search(r"val/loss +([0-9.e-]+)", capsys.readouterr().out)[1])
    assert again == pytest.approx(losses[-1], rel=1e-5)


def test_early_stopping_ends_the_run_and_keeps_its_results():
    flat = ["--model.lr", "1e-12", "--trainer.max_epochs", "9"]
    assert (
        fit("--config", str(CONF / "early_stopping.yaml"), *flat, "--trainer.callbacks.init_args.min_delta", "9") == 0
    )
    assert max(int(row["epoch"]) for row in rows() if row["val/loss"]) == 3  # the first, and three without a gain
    assert (RUN / "results.png").is_file()
    assert (RUN / "checkpoints/last.ckpt").is_file()


class GradientNorms(Callback):
    """Keep the norm of what the optimiser was given."""

    def __init__(self):
        self.norms = []

    def on_before_zero_grad(self, trainer, pl_module, optimizer):
        gradients = [p.grad.norm() for p in pl_module.parameters() if p.grad is not None]
        if gradients:
            self.norms.append(float(torch.stack(gradients).norm()))


@pytest.mark.parametrize("clip", [None, 0.01])
def test_gradients_are_clipped(clip):
    write_points(Path("points"), POINTS)
    data = KeypointDataModule("points", size=(32, 40), num_workers=0, batch_size=3)
    model = KeypointRegressor(data.point_names, "test_resnet", image_size=data.image_size)
    norms = GradientNorms()
    Trainer(
        max_epochs=2, callbacks=[norms], gradient_clip_val=clip, accelerator="cpu", logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    ).fit(model, data)  # fmt: skip
    assert norms.norms
    assert (max(norms.norms) <= 0.01 + 1e-6) == (clip is not None)


def test_mixing_changes_the_training_and_is_the_same_each_time():
    losses = []
    for number, alpha in enumerate(("0", "1", "1")):
        assert fit("--data.mixup_alpha", alpha, "--trainer.max_epochs", "1", "--run_name", "mixed") == 0
        with Path(f"runs/mixed/version_{number}/metrics.csv").open() as file:
            losses.append([row["train/loss_epoch"] for row in csv.DictReader(file) if row["train/loss_epoch"]])
    assert losses[0] != losses[1]
    assert losses[1] == losses[2]


@pytest.mark.parametrize(
    ("given", "monitor", "mode"),
    [
        ([], "val/mAP", "max"),
        (["--checkpoint.monitor", "val/accuracy"], "val/accuracy", "max"),
        (["--checkpoint.monitor", "val/loss"], "val/loss", "min"),
        (["--checkpoint.monitor", "val/loss", "--checkpoint.mode", "max"], "val/loss", "max"),
        (["--checkpoint.monitor", "null"], None, "min"),
    ],
)
def test_the_model_says_which_checkpoint_is_the_best_unless_the_user_does(given, monitor, mode):
    with mock.patch.multiple(TaskCLI, instantiate_classes=mock.DEFAULT, _run_subcommand=mock.DEFAULT):
        cli = TaskCLI(["fit", "--config", str(CONF / "multilabel.yaml"), *given])
    assert (cli.config.fit.checkpoint.monitor, cli.config.fit.checkpoint.mode) == (monitor, mode)
