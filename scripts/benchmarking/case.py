"""One thing to measure, and the command line that trains it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Task = Literal["labels", "points"]

CONF = Path(__file__).parents[2] / "conf"
_CONFIGS = {"labels": "pascal.yaml", "points": "keypoints.yaml"}
EPOCHS = 3  # one to warm up, one that is measured, and one that only has to begin


@dataclass(frozen=True)
class Case:
    """What is trained on what.

    Attributes:
        task: labels or points.
        backbone: a timm model.
        size: height and width that the model sees.
        batch_size: images in a batch.
        precision: Lightning's word for it; None: what the command line chooses.
        compile: our module's own option `compile`, and torch.compile for the ceiling.
        csv: the table.
        images: the folder that its names start from.
        weights: the backbone's, a file; None: random ones.
    """

    task: Task
    backbone: str
    size: tuple[int, int]
    batch_size: int
    precision: str | None
    compile: bool
    csv: Path
    images: Path
    weights: Path | None

    @property
    def title(self) -> str:
        """The case in a few words."""
        compiled = ", compiled" if self.compile else ""
        return f"{self.task}, {self.backbone}, {self.size[0]}×{self.size[1]}{compiled}"


def one_cycle() -> dict[str, Any]:
    """Return the callback of an ordinary training."""
    return {"class_path": "OneCycle"}


def frozen() -> dict[str, Any]:
    """Return the callback of a training whose measured epoch has the body frozen, its normalisation layers too."""
    return {"class_path": "FineTune", "init_args": {"epochs": 1, "freeze_epochs": EPOCHS - 1, "freeze_norm": True}}


def fit_arguments(case: Case, callbacks: Sequence[dict[str, Any]], runs_dir: Path) -> list[str]:
    """Return the command line's arguments, `fit` first. Whatever they do not name is as for any user."""
    arguments = ["fit", "--config", str(CONF / _CONFIGS[case.task]), "--runs_dir", str(runs_dir)]
    arguments += ["--run_name", "benchmark", "--model.backbone", case.backbone, "--model.pretrained", "false"]
    arguments += ["--data.root", str(case.images), "--data.csv", str(case.csv), "--data.images", "."]
    arguments += ["--data.size", json.dumps(case.size), "--data.batch_size", str(case.batch_size)]
    arguments += ["--trainer.max_epochs", str(EPOCHS), "--trainer.callbacks", json.dumps(list(callbacks))]
    if case.weights is not None:
        arguments += ["--model.weights", str(case.weights)]
    if case.precision is not None:
        arguments += ["--trainer.precision", case.precision]
    if case.compile:
        arguments += ["--model.compile", "true"]
    return arguments
