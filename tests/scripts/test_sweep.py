"""The Optuna example."""

import re
from pathlib import Path

import pytest
import yaml

from tests.fakes import draw_pascal
from tests.scripts import run_script

ROOT = Path(__file__).parents[2]
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
    "--data.num_workers",
    "0",
]


def sweep(folder):
    given = ["--config", CONFIG, "--trials", "2", "--", *TINY]
    return run_script("optuna_sweep.py", *given, folder=folder)


@pytest.mark.slow
def test_a_study_searches_and_goes_on(tmp_path):
    draw_pascal(tmp_path / yaml.safe_load(Path(CONFIG).read_text())["data"]["init_args"]["root"], n=80)
    sweep(tmp_path)
    done = sweep(tmp_path)  # two more: the study is kept
    found = re.search(
        r"4 trials; the best scored (0\.\d{4}|1\.0000)\. Train it again:\n  (lightning-tasks fit .*)", done.stdout
    )
    assert found, done.stdout
    assert "--model.weight_decay" in found[2]
    assert len(list((tmp_path / "runs").glob("*/version_*"))) == 4


def test_mistakes_are_one_line(tmp_path):
    given = ["--config", "pascal_sample", "--trials", "1", "--", *TINY]
    done = run_script("optuna_sweep.py", *given, folder=tmp_path, code=1)
    assert done.stderr.splitlines()[-1].startswith("error: There is no data set")
    done = run_script("optuna_sweep.py", "--config", "pascal_sampel", folder=tmp_path, code=1)
    assert "Is pascal_sample" in done.stderr.splitlines()[-1]
