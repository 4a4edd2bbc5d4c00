"""Where the verbs of a checkpoint write is looked at before their work is done; options may stand anywhere."""

import csv
import os
from pathlib import Path

import pytest
import torch

from lightning_tasks.__main__ import console
from lightning_tasks.checkpoint import read_checkpoint
from lightning_tasks.command_line.arguments import words_and_options
from lightning_tasks.command_line.stored_settings import with_checkpoint_settings
from lightning_tasks.errors import CheckpointError
from lightning_tasks.tasks import MultiLabelClassifier, MultiLabelDataModule
from lightning_tasks.trainer import Trainer
from tests.conftest import CONF
from tests.fakes import label_predictions

ACCELERATOR = ["--trainer.accelerator", "cpu", "--data.num_workers", "0"]


@pytest.fixture
def best(labels_run, tmp_path, monkeypatch):
    """A checkpoint, in whose run's folder no test writes; the current folder is another."""
    monkeypatch.chdir(tmp_path)
    Path("folder.png").mkdir()
    Path("folder.csv").mkdir()
    return str(labels_run[0] / labels_run[1])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["get_preds", "--output", "folder.csv"], "folder.csv cannot be written (it is a folder)"),
        (["get_preds", "--output", "ROOT/labels.csv"], "would be written over"),
        (["show_results", "--output", "folder.png"], "folder.png cannot be written (it is a folder)"),
        (["show_results", "--output", "a.docx"], "an image ends in avif"),
        (["report", "--output", "ROOT/0.jpg/a.html"], "Not a directory"),
        (["report", "--output", "CHECKPOINT"], "would be written over"),
        (["label_errors", "--output", "ROOT/labels.csv"], "would be written over"),
        (["label_errors", "--output", "page.csv"], "page.html cannot be written (it is a folder)"),
        (["label_errors", "--format", "coco", "--output", "coco.csv"], "coco.json cannot be written (it is a folder)"),
        (["thresholds", "--output", "folder.csv"], "folder.csv cannot be written (it is a folder)"),
        (["thresholds", "--curve", "folder.png"], "folder.png cannot be written (it is a folder)"),
        (["thresholds", "--curve", "b.png", "--output", "b.png"], "two different"),
        (["export", "--output", "folder.onnx"], "folder.onnx cannot be written (it is a folder)"),
        (["export", "--output", "ROOT/0.jpg/a.onnx"], "Not a directory"),
    ],
)
def test_the_place_is_looked_at_before_anything_is_predicted(best, labels_run, capsys, monkeypatch, arguments, said):
    def late(*given, **more):
        raise AssertionError("predicted before the place was looked at")

    monkeypatch.setattr("lightning_tasks.verbs.predictions.load_weights", late)
    monkeypatch.setattr("lightning_tasks.verbs.export.load_one", late)
    for name in ("folder.onnx", "page.html", "coco.json"):
        Path(name).mkdir()
    root = str(labels_run[0] / "root")
    verb, *more = [argument.replace("ROOT", root).replace("CHECKPOINT", best) for argument in arguments]
    if verb != "export":
        more += ["--data.root", root, *ACCELERATOR]
    assert console([verb, best, *more]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("verb", "option", "said"), [("check", "--fix", "it is a folder"), ("show_batch", "--output", "a folder")]
)
def test_verbs_without_a_checkpoint_look_first_too(labels_run, tmp_path, capsys, monkeypatch, verb, option, said):
    monkeypatch.setattr(f"lightning_tasks.verbs.{verb}.{verb}", None)
    (tmp_path / "a.png").mkdir()
    config = ["--config", str(CONF / "multilabel.yaml"), "--data.root", str(labels_run[0] / "root")]
    assert console([verb, *config, option, str(tmp_path / "a.png")]) == 2
    assert said in capsys.readouterr().err


def test_get_preds_on_standard_output_and_for_excel(best, labels_run, capsys):
    root = str(labels_run[0] / "root")
    arguments = ["get_preds", "--data.root", root, *ACCELERATOR, "--output", "-", best]
    assert console(arguments) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == "fname,labels,predicted,ignored,cat,dog"
    assert len(out.splitlines()) == 3
    assert "predictions      -" in err
    assert console(["get_preds", best, "--data.root", root, *ACCELERATOR, "--excel", "true"]) == 0
    assert Path("predictions.csv").read_bytes().startswith(b"\xef\xbb\xbffname,")


def test_get_preds_has_a_column_for_each_label(tmp_path):
    vocab = ["predicted", "labels", "ignored_"]
    said = torch.tensor([[0.25, 0.5, 0.75]])
    predicted = torch.tensor([[True, False, False]])
    found = label_predictions(said, torch.tensor([[1.0, 0, 1]]), vocab, paths=[Path("a")], predicted=predicted)
    assert len(found.write_csv(tmp_path / "p.csv")) == 2
    with (tmp_path / "p.csv").open(newline="") as file:
        header, row = csv.reader(file)
    assert header == ["fname", "labels", "predicted", "ignored", "predicted_", "labels_", "ignored_"]
    assert row == ["a", "predicted ignored_", "predicted", "", "0.250000", "0.500000", "0.750000"]


def test_options_and_words_in_any_order():
    given = [
        "--a.b",
        ".2",
        "x.ckpt",
        "--flag=1",
        "-c",
        "f.yaml",
        "y",
        "--print_config",
        "-",
        "--neg",
        "-1",
        "--on",
        "--",
        "-z",
    ]
    words, options = words_and_options(given)
    assert words == ["x.ckpt", "y", "-", "-z"]
    assert options == ["--a.b", ".2", "--flag=1", "-c", "f.yaml", "--print_config", "--neg", "-1", "--on"]


def test_options_before_the_checkpoint(best):
    verb, config, _, *more = with_checkpoint_settings(["validate", "--model.threshold", ".2", best, "--data.fold", "1"])
    assert (verb, config) == ("validate", "--config")
    assert more == ["--ckpt_path", best, "--model.threshold", ".2", "--data.fold", "1"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a checkpoint but an empty file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n", "pointer of Git LFS.*git lfs pull"),
        (b"/annex/objects/SHA256E-s1--2.ckpt\n", "pointer of git-annex.*git annex get"),
        (b"<html>", "not a checkpoint of tensors.*torch writes zip files.*Copy it again"),
        (b"PK\x03\x04" + bytes(100), "cut short.*whose directory is at their end; this one has none"),
    ],
)
def test_what_lies_in_the_place_of_a_checkpoint(tmp_path, content, said):
    (tmp_path / "best.ckpt").write_bytes(content)
    with pytest.raises(CheckpointError, match=said):
        read_checkpoint(tmp_path / "best.ckpt")


def test_places_where_no_checkpoint_can_be(tmp_path, monkeypatch):
    for path, said in ((tmp_path, "it is a folder"), (tmp_path / ("x" * 300), "File name too long")):
        with pytest.raises(CheckpointError, match=said):
            read_checkpoint(path)

    def refuse(*given, **more):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "stat", refuse)  # who runs the tests may be allowed everything
    with pytest.raises(CheckpointError, match="Permission denied"):
        read_checkpoint(tmp_path / "best.ckpt")


def test_weights_of_another_network_say_which(best, capsys):
    content = torch.load(best, weights_only=True)
    name = next(name for name in content["state_dict"] if name.startswith("head") and name.endswith("weight"))
    content["state_dict"][name] = torch.zeros(1)
    torch.save(content, "other.ckpt")
    Path("a.jpg").touch()
    for arguments in (["predict", "other.ckpt", "a.jpg", "--device", "cpu"], ["get_preds", "other.ckpt", *ACCELERATOR]):
        assert console(arguments) == 2
        assert name in capsys.readouterr().err


def test_lightnings_own_predict_is_of_the_validation_split(best, labels_run):
    data = MultiLabelDataModule(root=labels_run[0] / "root", size=(32, 40), batch_size=4, num_workers=0)
    model = MultiLabelClassifier.load_from_checkpoint(best, map_location="cpu")
    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False)
    (said,) = trainer.predict(model, datamodule=data)
    assert torch.equal(said, trainer.get_preds(model, data, best).probabilities)
    assert said.shape == (2, 2)
