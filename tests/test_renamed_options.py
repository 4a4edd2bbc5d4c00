"""Old names of options are read, told in one line, and do what the new ones do."""

import warnings
from pathlib import Path

import pytest
import torch
import yaml

from lightning_tasks import renamed_options, yaml_text
from lightning_tasks.__main__ import console
from lightning_tasks.checkpoint import read_checkpoint
from lightning_tasks.errors import LightningTasksWarning
from lightning_tasks.renamed_options import with_new_names

OVER = "(old name still read; goes away in the next release)"
POINTS = "KeypointDataModule"


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch, tmp_path):
    monkeypatch.setattr(renamed_options, "_told", set())
    monkeypatch.chdir(tmp_path)


def test_what_has_its_new_names_stays_as_it_is():
    Path("c.yaml").write_text("data: {class_path: KeypointDataModule, init_args: {flip_p: 0.5}}")
    args = ["fit", "--config", "c.yaml", "-c=c.yaml", "--data.root", "-1", "--trainer.x", "--", "--data.flip", "true"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert with_new_names(args) == args


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["--data.flip", "true"], ["--data.flip_p", "0.5"]),
        (["--data.flip=false"], ["--data.flip_p", "0.0"]),
        (["--data.init_args.flip", "null"], ["--data.flip_p", "null"]),
        (
            ["--data", "{class_path: KeypointDataModule, init_args: {flip: true, root: a}}"],
            ["--data", "{class_path: KeypointDataModule, init_args: {flip_p: 0.5, root: a}}"],
        ),
        (["--data.max_bad_share=0.2", "--data.root", "a"], ["--data.max_bad_fraction", "0.2", "--data.root", "a"]),
    ],
)
def test_on_the_command_line(given, expected):
    old, new = ("data.max_bad_share", "data.max_bad_fraction") if "share" in given[0] else ("data.flip", "data.flip_p")
    with pytest.warns(LightningTasksWarning) as told:
        assert with_new_names(["fit", *given]) == ["fit", *expected]
    assert [str(one.message) for one in told] == [f"command line: {old} is now {new} {OVER}."]


@pytest.mark.filterwarnings("default::lightning_tasks.errors.LightningTasksWarning")
def test_of_verbs_that_are_functions(capsys):
    assert console(["export", "none.ckpt", "--pictures", "x"]) == 2
    error = capsys.readouterr().err.splitlines()
    assert error[0] == f"warning: command line: export.pictures is now export.images {OVER}."
    assert "none.ckpt" in error[1]


def test_in_a_config():
    Path("old.yaml").write_text(
        "model: {class_path: KeypointRegressor, init_args: {lr: 1e-3, backbone: '1e3'}}\n"
        "data: {class_path: KeypointDataModule, init_args: {flip: true, max_bad_share: 0.5}}\n"
    )
    with pytest.warns(LightningTasksWarning) as told:
        *_, text = with_new_names(["fit", "--config", "old.yaml"])
    assert [str(one.message) for one in told] == [
        f"old.yaml: data.flip is now data.flip_p {OVER}.",
        f"old.yaml: data.max_bad_share is now data.max_bad_fraction {OVER}.",
    ]
    assert "\n" not in text
    assert yaml_text.load(text) == {
        "model": {"class_path": "KeypointRegressor", "init_args": {"lr": 0.001, "backbone": "1e3"}},
        "data": {"class_path": "KeypointDataModule", "init_args": {"flip_p": 0.5, "max_bad_fraction": 0.5}},
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # told once
        with_new_names(["fit", "--config", "old.yaml"])


CLASSIFIER = {"class_path": "MultiLabelClassifier", "init_args": {"loss": "bce", "threshold": 0.4}}
LABELS = {"class_path": "lightning_tasks.MultiLabelDataModule", "init_args": {"root": "root"}}


@pytest.mark.parametrize("how", ["config", "overlay", "option"])
def test_exactly_one_label_has_become_a_class(how):
    settings = {"model": CLASSIFIER, "data": LABELS}
    more = {"overlay": ["-c", "over.yaml"], "option": ["--model.loss", "cross_entropy"]}.get(how, [])
    if how == "config":
        settings["model"] = {**CLASSIFIER, "init_args": {"loss": "cross_entropy", "threshold": 0.4}}
    Path("old.yaml").write_text(yaml.safe_dump(settings))
    Path("over.yaml").write_text("model: {init_args: {loss: cross_entropy}}")
    where = {"config": "old.yaml", "overlay": "over.yaml", "option": "command line"}[how]
    with pytest.warns(LightningTasksWarning) as told:
        _, _, text, *rest = with_new_names(["fit", "--config", "old.yaml", *more])
    (message,) = told
    expected = f"{where}: MultiLabelClassifier with loss cross_entropy is now MultiClassClassifier {OVER}."
    assert str(message.message) == expected
    kept = {"loss": "cross_entropy"} if how == "config" else {}
    assert yaml.safe_load(text) == {
        "model": {"class_path": "MultiClassClassifier", "init_args": kept},
        "data": {"class_path": "lightning_tasks.MultiClassDataModule", "init_args": {"root": "root"}},
    }
    assert rest == more


@pytest.mark.parametrize(
    "args",
    [
        ["--model", "OwnClassifier", "--model.loss", "cross_entropy"],
        ["--model", "MultiLabelClassifier", "--model.loss", "cross_entropy", "--model.loss", "bce"],
        ["--model.loss", "cross_entropy"],
    ],
)
def test_another_class_or_a_loss_that_is_beaten_is_left_alone(args):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert with_new_names(["fit", *args]) == ["fit", *args]


def test_in_a_checkpoint():
    data = {"_class_path": f"lightning_tasks.{POINTS}", "flip": False, "root": "root"}
    torch.save({"hyper_parameters": {"lr": 1.0}, "datamodule_hyper_parameters": data}, "points.ckpt")
    with pytest.warns(LightningTasksWarning, match=r"points\.ckpt: data\.flip is now data\.flip_p \(old name"):
        read = read_checkpoint(Path("points.ckpt"))
    assert read["datamodule_hyper_parameters"] == {
        "_class_path": f"lightning_tasks.{POINTS}", "flip_p": 0.0, "root": "root",
    }  # fmt: skip
    assert read["hyper_parameters"] == {"lr": 1.0}


def test_exactly_one_label_in_a_checkpoint():
    model = {"_class_path": "lightning_tasks.MultiLabelClassifier", "loss": "cross_entropy", "asymmetric_clip": 0.05}
    data = {"_class_path": "lightning_tasks.MultiLabelDataModule"}
    torch.save({"hyper_parameters": model, "datamodule_hyper_parameters": data}, "labels.ckpt")
    with pytest.warns(
        LightningTasksWarning, match=r"labels\.ckpt: MultiLabelClassifier with loss cross_entropy is now"
    ):
        read = read_checkpoint(Path("labels.ckpt"))
    assert read["hyper_parameters"] == {
        "_class_path": "lightning_tasks.MultiClassClassifier", "loss": "cross_entropy",
    }  # fmt: skip
    assert read["datamodule_hyper_parameters"] == {"_class_path": "lightning_tasks.MultiClassDataModule"}


def test_an_unknown_option_is_refused_as_ever(capsys):
    with pytest.raises(SystemExit) as caught:
        console(["fit", "--data", "MultiLabelDataModule", "--data.flop", "true"])
    assert caught.value.code == 2
    assert "'flop' is not accepted" in capsys.readouterr().err
