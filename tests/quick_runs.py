"""Runs of a step an epoch, in this process: for what happens around a training."""

from pathlib import Path

import torch
import yaml

from lightning_tasks.__main__ import console
from tests.fakes import FLAGS
from tests.training.small_runs import CONF

SMALL = ["--data.root", "root", "--data.size", "32", "--data.batch_size", "2", "--model.pretrained", "false"]
BASE = ["fit", "--config", str(CONF / "multilabel.yaml"), *FLAGS, *SMALL, "--trainer.limit_train_batches", "1"]
PLAIN = ["--trainer.callbacks", "null", "--model.lr", "0.001"]  # without a schedule, which ends with the epochs


def fit(*more, epochs=1):
    """Train on `root`, which the test has written; return the exit code."""
    return console([*BASE, "--trainer.max_epochs", str(epochs), *more])


def settings(**trainer):
    """Write a config of the Trainer's settings, and return the arguments that lay it over the others."""
    Path("own.yaml").write_text(yaml.safe_dump({"trainer": trainer}))
    return "--config", "own.yaml"


def scores(monkeypatch, *values):
    """Let the validations score these, one an epoch."""
    left = list(values)

    def on_validation_epoch_end(self):
        self.log("val/mAP", torch.tensor(left.pop(0)))

    monkeypatch.setattr("lightning_tasks.tasks.multilabel.classifier.MultiLabelClassifier.on_validation_epoch_end",
                        on_validation_epoch_end)  # fmt: skip


def written(folder):
    return {str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file()}
