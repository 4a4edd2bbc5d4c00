"""The verb `probe`, from a config to a run that every other verb knows."""

import contextlib
import csv
import io
import os
import re
from pathlib import Path

import pytest

from lightning_tasks.__main__ import console
from tests.fakes import draw_pascal

CONF = Path(__file__).parents[2] / "conf"
SMALL = ["--trainer.accelerator", "cpu", "--trainer.precision", "32-true", "--trainer.enable_progress_bar", "false"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A probe of drawn shapes on random features: its folder, and what it printed."""
    folder = tmp_path_factory.mktemp("probe")
    draw_pascal(folder / "data/pascal_sample", n=80)
    here, printed = Path.cwd(), io.StringIO()
    os.chdir(folder)
    try:
        args = ["--config", str(CONF / "pascal_sample.yaml"), "--data.size", "32", "--model.head", "linear", *SMALL]
        with contextlib.redirect_stdout(printed):
            assert console(["probe", *args, "--folds", "3"]) == 0
    finally:
        os.chdir(here)
    print(printed.getvalue())
    return folder / "runs/pascal_sample/version_0", printed.getvalue()


def test_it_ends_as_a_run(run):
    version, printed = run
    files = {str(path.relative_to(version)) for path in version.rglob("*") if path.is_file()}
    assert {"config.yaml", "metrics.csv", "results.png", "checkpoints/best.ckpt", "checkpoints/last.ckpt"} <= files
    told = float(re.search(r"validation +val/mAP ([\d.]+)", printed)[1])
    with (version / "metrics.csv").open() as file:
        (logged,) = [float(row["val/mAP"]) for row in csv.DictReader(file) if row.get("val/mAP")]
    assert logged == pytest.approx(told, abs=1e-4)


def test_validate_scores_its_checkpoint_alike(run, capsys, monkeypatch):
    version, printed = run
    monkeypatch.chdir(version.parents[2])
    for name in ("best", "last"):
        assert console(["validate", str(version / f"checkpoints/{name}.ckpt"), *SMALL]) == 0
        scored = float(re.search(r"val/mAP\W+([\d.]+)", capsys.readouterr().out)[1])
        assert scored == pytest.approx(float(re.search(r"validation +val/mAP ([\d.]+)", printed)[1]), abs=2e-3)
