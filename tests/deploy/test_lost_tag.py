"""A checkpoint whose backbone's tag timm knows no more: its weights and its normalisation are in the file."""

import numpy as np
import pytest
import torch

from lightning_tasks import KeypointRegressor, MultiLabelClassifier, load
from lightning_tasks.__main__ import console
from lightning_tasks.checkpoint import read_checkpoint
from lightning_tasks.errors import BackboneError, CheckpointError
from lightning_tasks.models.backbone import Backbone, weights_follow

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)


def said(prediction):
    return getattr(prediction, "probabilities", getattr(prediction, "points_px", None))


def spoilt(folder, ckpt, path, backbone, **state):
    """Write the checkpoint again with a normalisation of its own, and the backbone under another name."""
    content = read_checkpoint(folder / ckpt)
    content["state_dict"]["backbone.mean"] = torch.full((1, 3, 1, 1), 33.0)
    content["state_dict"]["backbone.std"] = torch.full((1, 3, 1, 1), 77.0)
    content["state_dict"] = {name: value for name, value in content["state_dict"].items() if name not in state}
    content["hyper_parameters"]["backbone"] = backbone
    torch.save(content, path)
    return path


@pytest.mark.parametrize(("run", "cls"), [("labels_run", MultiLabelClassifier), ("points_run", KeypointRegressor)])
def test_every_door_takes_it_with_its_own_normalisation(run, cls, request, tmp_path, monkeypatch, capsys):
    folder, ckpt = request.getfixturevalue(run)
    known = spoilt(folder, ckpt, tmp_path / "known.ckpt", "test_resnet")
    lost = spoilt(folder, ckpt, tmp_path / "lost.ckpt", "test_resnet.gone_in99k")
    wanted = said(load(known, "cpu")(IMAGE))
    assert not np.array_equal(wanted, said(load(folder / ckpt, "cpu")(IMAGE)))  # it matters
    assert np.array_equal(said(load(lost, "cpu")(IMAGE)), wanted)
    model = cls.load_from_checkpoint(lost, weights_only=True)
    assert model.backbone.mean.unique().tolist() == [33]
    assert model.backbone.std.unique().tolist() == [77]
    monkeypatch.chdir(folder)
    capsys.readouterr()
    written = []
    for path in (known, lost):
        assert console(["get_preds", str(path), "--output", str(tmp_path / "preds.csv")]) == 0
        written.append((tmp_path / "preds.csv").read_text())
    assert written[0] == written[1]
    assert console(["export", str(lost), "--format", "safetensors"]) == 0


def test_without_its_normalisation_it_is_refused(labels_run, tmp_path):
    folder, ckpt = labels_run
    spoilt(folder, ckpt, tmp_path / "lost.ckpt", "test_resnet.gone_in99k", **{"backbone.mean": None})
    with pytest.raises(CheckpointError, match=r"does not fit this version's MultiLabelClassifier"):
        load(tmp_path / "lost.ckpt", "cpu")


def test_a_lost_tag_says_nothing_until_its_state_is_there():
    with weights_follow():
        lost = Backbone("test_resnet.gone_in99k", (64, 64), pretrained=True).eval()  # nor does it fetch any
    assert lost(torch.zeros(1, 3, 64, 64)).isnan().all()
    with pytest.raises(BackboneError, match="no weights tagged 'gone_in99k'"):
        Backbone("test_resnet.gone_in99k", (64, 64))
    with weights_follow(), pytest.raises(BackboneError, match="timm has no backbone"):
        Backbone("resnet51.gone_in99k", (64, 64))


def test_a_training_goes_on_from_it(labels_run, tmp_path, monkeypatch, capsys):
    folder, ckpt = labels_run
    lost = spoilt(folder, ckpt, tmp_path / "lost.ckpt", "test_resnet.gone_in99k")
    monkeypatch.chdir(folder)
    config = str((folder / ckpt).parents[1] / "config.yaml")
    args = ["fit", "--config", config, "--model.backbone", "test_resnet.gone_in99k", "--runs_dir", str(tmp_path / "r")]
    assert console([*args, "--trainer.max_epochs", "2"]) == 2
    assert "has no weights tagged" in capsys.readouterr().err
    assert console([*args, "--trainer.max_epochs", "2", "--ckpt_path", str(lost)]) == 0
    (again,) = (tmp_path / "r").rglob("last.ckpt")
    assert read_checkpoint(again)["state_dict"]["backbone.mean"].unique().tolist() == [33]
