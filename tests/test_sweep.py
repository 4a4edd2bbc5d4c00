"""The Optuna example, as a process."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
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


def sweep(folder, *arguments):
    command = [sys.executable, str(ROOT / "scripts" / "optuna_sweep.py"), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_a_study_searches_and_goes_on(tmp_path):
    config = str(ROOT / "conf" / "pascal_sample.yaml")
    prepared = [sys.executable, "-m", "lightning_tasks", "prepare", "--config", config]
    subprocess.run(prepared, cwd=tmp_path, check=True, capture_output=True)
    for trials in (2, 3):  # one more each time: the study is kept
        done = sweep(tmp_path, "--config", config, "--trials", str(trials - 1 if trials == 3 else 2), "--", *TINY)
        assert done.returncode == 0, done.stderr
    found = re.search(
        r"4 trials; the best scored (0\.\d{4}|1\.0000)\. Train it again:\n  (lightning-tasks fit .*)", done.stdout
    )
    assert found, done.stdout
    assert "--model.weight_decay" in found[2]
    assert len(list((tmp_path / "runs").glob("*/version_*"))) == 4


def test_mistakes_are_one_line(tmp_path):
    done = sweep(tmp_path, "--config", str(ROOT / "conf" / "pascal_sample.yaml"), "--trials", "1", "--", *TINY)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: There is no data set")
