"""What the report's page is made of."""

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
import torch

import lightning_tasks
from lightning_tasks.errors import ConfigError
from lightning_tasks.reports.figures import learning_curves
from lightning_tasks.reports.gallery import choose_rows, thumbnail, worst_rows
from lightning_tasks.reports.page import write_page
from lightning_tasks.reports.run_info import read_run
from lightning_tasks.tasks.keypoints.page import error_histogram
from lightning_tasks.verbs.report import read_reduced as read

PACKAGE = Path(lightning_tasks.__file__).parent


def test_a_sample_is_evenly_spaced():
    assert choose_rows(torch.zeros(3), 24, worst=False).tolist() == [0, 1, 2]
    assert choose_rows(torch.zeros(47), 24, worst=False).tolist() == list(range(0, 47, 2))


def test_the_worst_are_the_worst_over_all_and_of_each_key():
    losses = torch.arange(100.0)
    losses[99] = torch.nan
    rows = worst_rows(losses, lambda row: ["rare"] if row < 50 else ["often"], 2)
    assert rows == [*range(98, 74, -1), 49, 48, 47]
    assert worst_rows(losses, lambda row: [str(row)], 97) == rows[:24]  # too many keys for some of each


def test_a_file_that_is_no_image_has_no_thumbnail(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no image")
    assert thumbnail(tmp_path / "a.jpg", read) == thumbnail(tmp_path / "missing.jpg", read) == ""


def test_curves_are_drawn_of_what_there_is():
    rows = [
        {"epoch": "0", "step": "9", "lr/head": "1e-3", "momentum": "0.9", "train/loss_epoch": "", "val/median_px": ""},
        {"epoch": "0", "step": "10", "lr/head": "", "momentum": "", "train/loss_epoch": "2.5", "val/median_px": ""},
        {"epoch": "1", "step": "20", "lr/head": "", "momentum": "", "train/loss_epoch": "1.5", "val/median_px": "cut"},
    ]
    loss, rate = learning_curves(rows)
    assert loss.alt == "Loss by epoch: train/loss from 2.5 to 1.5."
    assert rate.title == "Learning rate"
    assert learning_curves([]) == []


def test_figures_take_the_pages_colour_and_share_no_ids():
    chart = error_histogram(torch.tensor([1.0, 2.0, 100.0]))
    assert "half are below 2.0 px" in chart.alt
    assert "currentColor" in chart.svg
    assert not re.search(r"<g id=|#767676|<metadata|<!DOCTYPE", chart.svg)
    assert error_histogram(torch.zeros(3)).svg  # all perfect


def test_the_finders_curve_is_the_runs_own_or_the_newest_beside_it(tmp_path):
    checkpoint = tmp_path / "version_0" / "checkpoints" / "best.ckpt"
    checkpoint.parent.mkdir(parents=True)
    assert read_run(checkpoint, {}).lr_find is None
    for name in ("lr_find_9", "lr_find_10", "version_0"):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "lr_find.csv").write_text("lr,loss,smoothed_loss\n1e-4,1,1\n1e-3,1,.5\n1e-2,cut")
        run = read_run(checkpoint, {"hyper_parameters": {"lr": 1e-3}})
        assert run.lr_find_csv == tmp_path / name / "lr_find.csv"
        assert run.lr_find.alt == "Smoothed loss over rates from 1e-04 to 1e-03; this run's rate is 1.00e-03."
    assert run.name == f"{tmp_path.name} / version_0"


def test_a_page_is_written_whole_or_not_at_all(tmp_path):
    (tmp_path / "page.html").write_text("old")
    with pytest.raises(TypeError):
        write_page(tmp_path / "page.html", None)
    assert (tmp_path / "page.html").read_text() == "old"
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match=r"folder cannot be written \(Is a directory\)"):
        write_page(tmp_path / "folder", "new")
    write_page(tmp_path / "deep" / "page.html", "naïve \udcff")  # of a file name that is no text
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["deep", "folder", "page.html", "page.html"]


def test_every_file_that_is_not_python_is_packed():
    packed = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    others = [path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")]
    assert len(others) >= 6
    for path in others:
        name = str(path.relative_to(PACKAGE))
        assert any(fnmatch(name, pattern) for pattern in packed["lightning_tasks"]), name
