"""`~` and `$NAME` in every path of a config and of the command line."""

from pathlib import Path

import pytest
import torch
import yaml

from lightning_tasks.__main__ import console
from tests.fakes import LABELS, write_multilabel
from tests.quick_runs import BASE, PLAIN, written

WITHOUT_ROOT = [word for word in BASE if word not in ("--data.root", "root")]
WORKERS = ["--data.num_workers", "0"]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The user's folder, which is not the one that he is in."""
    for name in ("home", "here", "data"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DATA", str(tmp_path / "data"))
    monkeypatch.delenv("NOTHING", raising=False)
    write_multilabel(tmp_path / "data" / "root", LABELS)
    return tmp_path / "home"


def fit(*more):
    return console([*WITHOUT_ROOT, "--trainer.max_epochs", "1", *PLAIN, *more])


def test_from_the_table_to_predictions(home, capsys):
    own = {"class_path": "CSVLogger", "init_args": {"save_dir": "~/logs"}}
    (home / "c.yaml").write_text(
        yaml.safe_dump({"data": {"init_args": {"root": "$DATA/root"}}, "trainer": {"logger": own}})
    )
    assert (
        fit("--config=~/c.yaml", "--runs_dir=~/runs", "--data.cache_dir=~/cache", "--checkpoint.dirpath=$DATA/best")
        == 0
    )
    best, run = "${DATA}/best/best.ckpt", home / "runs/multi_label/version_0"
    assert {"logs", "runs", "cache"} <= {path.name for path in home.iterdir()}
    stored = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["datamodule_hyper_parameters"]
    assert stored["root"] == "$DATA/root"  # for whoever reads it, wherever
    saved = yaml.safe_load((run / "config.yaml").read_text())
    assert (saved["runs_dir"], saved["data"]["init_args"]["root"]) == ("~/runs", "$DATA/root")
    assert saved["trainer"]["logger"]["init_args"]["save_dir"] == "~/logs"

    assert console(["validate", best, *WORKERS]) == 0
    assert console(["get_preds", "--ckpt_path=" + best, "--output=~/p.csv", *WORKERS]) == 0
    assert console(["thresholds", best, "--output=~/t.ckpt", "--curve=~/t.png", "--split", "train", *WORKERS]) == 0
    assert console(["show_results", "~/t.ckpt", "--output=~/s.png", *WORKERS]) == 0
    assert console(["report", best, "--output=~/r.html", *WORKERS]) == 0
    assert (
        console(["predict", best, "$DATA/root", "${DATA}/root/*1.jpg", "--output=~/q.csv", "--annotate=~/drawn"]) == 0
    )
    assert {"p.csv", "t.ckpt", "t.png", "s.png", "r.html", "q.csv"} <= written(home)
    assert written(home / "drawn")
    assert fit("--config=~/c.yaml", "--runs_dir=~/runs", "--ckpt_path=last", "--checkpoint.dirpath=$DATA/best") == 0
    assert not written(".")  # where nothing was asked for


def test_the_other_verbs(home, capsys):
    data = ["--data", "MultiLabelDataModule", "--data.root", "$DATA/root"]
    assert console(["init", "$DATA/root/labels.csv", "--output=~/i.yaml"]) == 0
    with pytest.raises(SystemExit):  # few images
        console(["check", "--config=~/i.yaml", "--fix=~/fixed.csv"])
    assert console(["show_batch", "--config=~/i.yaml", *WORKERS, "--output=~/b.png", *data[2:]]) == 0
    assert {"i.yaml", "fixed.csv", "b.png"} <= written(home)
    assert not written(".")


@pytest.mark.parametrize(
    "more",
    [
        ["--data.root", "$NOTHING/root"],
        ["--data.root", "$DATA/root", "--data.csv", "${NOTHING}.csv"],
        ["--data.root", "$DATA/root", "--model.weights", "$NOTHING/w.pth"],
        ["--data.root", "$DATA/root", "--runs_dir", "$NOTHING"],
        ["--data.root", "$DATA/root", "--ckpt_path", "$NOTHING/x.ckpt"],
        ["--data.root", "$DATA/root", "--checkpoint.dirpath", "$NOTHING"],
        ["--data.root", "$DATA/root", "--data.cache_dir", "$NOTHING"],
        ["--config", "$NOTHING/x.yaml"],
    ],
)
def test_a_variable_that_is_not_set_is_a_mistake(more, home, capsys):
    assert fit(*more) == 2
    assert "no variable NOTHING" in capsys.readouterr().err
    assert not written(".")


@pytest.mark.parametrize(
    "args", [["predict", "$NOTHING.ckpt", "."], ["serve", "$NOTHING.ckpt"], ["init", "$NOTHING.csv"]]
)
def test_so_it_is_for_the_verbs_without_a_config(args, home, capsys):
    assert console(args) == 2
    assert "no variable NOTHING" in capsys.readouterr().err


def test_weights_are_found(home, capsys):
    torch.save({"some.weight": torch.zeros(1)}, home / "w.pth")
    assert fit("--data.root", "$DATA/root", "--model.weights=~/w.pth") == 2
    assert f"{home}/w.pth" in capsys.readouterr().err


def test_names_with_a_dollar_that_are_there_are_those(home):
    folder = Path("$NOTHING")
    write_multilabel(folder, LABELS)
    assert fit("--data.root", "$NOTHING") == 0
    best = "runs/multi_label/version_0/checkpoints/best.ckpt"
    assert console(["predict", best, "$NOTHING/*.jpg", "--output", "$NOTHING/p.csv"]) == 0
    assert (folder / "p.csv").is_file()
