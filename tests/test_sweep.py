"""The Optuna example, as a user runs it."""

import contextlib
import re
from pathlib import Path

from lightning_tasks.__main__ import console
from tests.scripts import run_script

ROOT = Path(__file__).parents[1]
CONFIG = str(ROOT / "conf" / "pascal_sample.yaml")
TINY = [
    "--model.backbone",
    "test_resnet",
    "--model.pretrained",
    "false",
    "--data.size",
    "32",
    "--trainer.max_epochs",
    "2",
]


def sweep(folder, trials, code=0):
    return run_script("optuna_sweep.py", "--config", CONFIG, "--trials", trials, "--", *TINY, folder=folder, code=code)


def test_a_study_searches_and_goes_on(tmp_path):
    with contextlib.chdir(tmp_path):
        assert console(["prepare", "--config", CONFIG]) == 0
    sweep(tmp_path, "2")
    done = sweep(tmp_path, "2")  # two more: the study is kept
    found = re.search(
        r"4 trials; the best scored (0\.\d{4}|1\.0000)\. Train it again:\n  (lightning-tasks fit .*)", done.stdout
    )
    assert found, done.stdout
    assert "--model.weight_decay" in found[2]
    assert len(list((tmp_path / "runs").glob("*/version_*"))) == 4


def test_mistakes_are_one_line(tmp_path):
    done = sweep(tmp_path, "1", code=1)
    assert done.stderr.splitlines()[-1].startswith("error: There is no data set")
