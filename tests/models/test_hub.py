"""Backbones of the Hugging Face hub and of folders, from a server that runs here."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from lightning_tasks import MultiLabelClassifier, load
from lightning_tasks.__main__ import console
from lightning_tasks.checkpoint import read_checkpoint
from lightning_tasks.errors import BackboneError
from lightning_tasks.models.backbone import Backbone
from tests.conftest import train
from tests.fakes import LABELS, write_multilabel
from tests.models.hub_server import COMMIT, MEAN, STD, serving


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub in the place of the real one, and an empty cache of its client."""
    with serving() as served:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", served.url)
        template = served.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield served


def offline(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "empty"))


def assert_is(backbone, state):
    body = backbone.body.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in body.items())
    torch.testing.assert_close(backbone.mean.flatten(), torch.tensor(MEAN) * 255)
    torch.testing.assert_close(backbone.std.flatten(), torch.tensor(STD) * 255)


def test_weights_and_normalisation_are_the_hubs(hub, monkeypatch):
    state = hub.add("someone/own")
    for name in ("hf-hub:someone/own", "hf_hub:someone/own", f"hf-hub:someone/own@{COMMIT}"):
        assert_is(Backbone(name, (64, 64), pretrained=True), state)
    hub.asked.clear()
    random = Backbone("hf-hub:someone/own", (64, 64))
    assert {file for _, file in hub.asked} == {"config.json"}
    assert not torch.equal(random.body.state_dict()["conv1.0.weight"], state["conv1.0.weight"])
    torch.testing.assert_close(random.mean.flatten(), torch.tensor(MEAN) * 255)
    shaped = hub.add("someone/shaped", layers=(2, 1, 1, 1))  # another network than the name's
    assert_is(Backbone("hf-hub:someone/shaped", (64, 64), pretrained=True), shaped)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert_is(Backbone("hf-hub:someone/shaped", (64, 64), pretrained=True), shaped)  # from the client's cache


def test_timms_own_are_known_by_their_names_on_the_hub(hub):
    state = hub.add("timm/test_resnet.r160_in1k")
    backbone = Backbone("timm/test_resnet.r160_in1k", (64, 64), pretrained=True)
    assert torch.equal(backbone.body.state_dict()["conv1.0.weight"], state["conv1.0.weight"])
    assert backbone.to_store is None
    newer = hub.add("timm/test_resnet.of_next_year")
    assert_is(Backbone("timm/test_resnet.of_next_year", (64, 64), pretrained=True), newer)


def test_a_folder_is_one_too(hub, tmp_path, monkeypatch):
    state = hub.add("someone/own")
    for name, content in hub.files["someone/own"].items():
        (tmp_path / "a folder").mkdir(exist_ok=True)
        (tmp_path / "a folder" / name).write_bytes(content)
    assert_is(Backbone(f"local-dir:{tmp_path}/a folder", (64, 64), pretrained=True), state)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert_is(Backbone("local-dir:~/a folder", (64, 64), pretrained=True), state)
    with pytest.raises(BackboneError, match=r"local-dir:nowhere' cannot be had: Config file not found: nowhere"):
        Backbone("local-dir:nowhere", (64, 64))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("hf-hub:someone/unknown", "the hub has none of this name, or it is private.*HF_TOKEN"),
        ("hf-hub:someone/private", "the hub has none of this name, or it is private.*HF_TOKEN"),
        ("hf-hub:someone/gated", "its owner grants access to it.*HF_TOKEN"),
        ("hf-hub:someone/own@other", "the hub has no revision 'other' of it"),
        ("hf-hub:someone/empty", "config.json"),
        ("hf-hub:someone/bert", "its config.json names no `architecture`"),
        ("hf-hub:someone/newer", "architecture 'resnet_of_next_year', which timm .* does not have"),
        ("hf-hub:someone/grey", "takes images of 1 channels"),
        ("hf-hub:", "USER/NAME"),
        ("hf-hub:a/b/c", "USER/NAME"),
        ("timm/resnet51", "the hub has none of this name"),
        ("someone/own", "timm has no backbone 'someone/own'.*hf-hub:USER/NAME"),
        ("ftp:someone/own", "timm has no backbone 'ftp:someone/own'.*hf-hub:USER/NAME"),
    ],
)
def test_what_cannot_be_had_is_told_in_one_message(name, told, hub):
    for repo in ("own", "private", "gated"):
        hub.add(f"someone/{repo}")
    hub.private.add("someone/private")
    hub.gated.add("someone/gated")
    hub.files["someone/empty"] = {}
    hub.add("someone/bert", config={"architectures": ["BertModel"]})
    hub.add("someone/newer", config={"architecture": "resnet_of_next_year", "pretrained_cfg": {}})
    grey = json.loads(hub.files["someone/own"]["config.json"])
    grey["pretrained_cfg"]["input_size"] = [1, 64, 64]
    hub.add("someone/grey", config=grey)
    with pytest.raises(BackboneError, match=told):
        Backbone(name, (64, 64), pretrained=True)


def test_weights_that_are_not_beside_the_config_are_told(hub):
    hub.add("someone/own")
    del hub.files["someone/own"]["model.safetensors"]
    with pytest.raises(BackboneError, match=r"The weights of 'hf-hub:someone/own' cannot be fetched:.*--model.weights"):
        Backbone("hf-hub:someone/own", (64, 64), pretrained=True)


def test_a_checkpoint_needs_neither_the_hub_nor_its_cache(hub, tmp_path, monkeypatch, capsys):
    hub.add("someone/own", layers=(2, 1, 1, 1))
    monkeypatch.chdir(tmp_path)
    write_multilabel(tmp_path / "root", LABELS)
    path = train(tmp_path, "multilabel.yaml", "--model.backbone", "hf-hub:someone/own", "--model.pretrained", "true")
    stored = read_checkpoint(tmp_path / path)["hyper_parameters"]
    assert stored["backbone"] == "hf-hub:someone/own"
    assert stored["architecture"] == {"name": "test_resnet", "arguments": {"layers": [2, 1, 1, 1]}}
    hub.asked.clear()
    offline(monkeypatch, tmp_path)
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    said = load(path, "cpu")(image).probabilities
    assert np.isfinite(said).all()
    model = MultiLabelClassifier.load_from_checkpoint(path, weights_only=True)
    torch.testing.assert_close(model.backbone.mean.flatten(), torch.tensor(MEAN) * 255)
    for args in (
        ["validate", path],
        ["export", path, "--format", "safetensors"],
        ["report", path],
        ["get_preds", path, "--output", "p.csv"],
    ):
        capsys.readouterr()
        assert console(args) == 0, capsys.readouterr().err
    config = str((tmp_path / path).parents[1] / "config.yaml")
    assert console(["fit", "--config", config, "--ckpt_path", path, "--trainer.max_epochs", "2"]) == 0
    again = max(tmp_path.glob("runs/*/version_1/checkpoints/last.ckpt"))
    assert read_checkpoint(again)["hyper_parameters"]["architecture"] == stored["architecture"]
    assert not hub.asked
    capsys.readouterr()
    assert console(["fit", "--config", config]) == 2
    error = capsys.readouterr().err
    assert "error: The backbone 'hf-hub:someone/own' cannot be had: " in error
    assert "local-dir:FOLDER" in error


@pytest.mark.parametrize("how", ["last", "requeued", "weights"])
def test_a_run_is_resumed_without_the_folder_of_its_backbone(how, hub, tmp_path, monkeypatch, capsys):
    hub.add("someone/own", layers=(2, 1, 1, 1))
    monkeypatch.chdir(tmp_path)
    write_multilabel(tmp_path / "root", LABELS)
    Path("own").mkdir()
    for name, content in hub.files["someone/own"].items():
        Path("own", name).write_bytes(content)
    if how == "requeued":
        monkeypatch.setenv("SLURM_JOB_ID", "77")
        monkeypatch.delenv("SLURM_JOB_NAME", raising=False)
    named = ["--model.backbone", "local-dir:own", "--model.pretrained", "true"]
    if how == "weights":
        named = ["--model.backbone", "local-dir:own", "--model.weights", "own/model.safetensors"]
    path = Path(train(tmp_path, "multilabel.yaml", *named))
    stored = read_checkpoint(path)["hyper_parameters"]["architecture"]
    shutil.rmtree("own")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    args = ["fit", "--config", str(path.parents[1] / "config.yaml"), "--trainer.max_epochs", "2"]
    capsys.readouterr()
    assert console([*args, *([] if how == "requeued" else ["--ckpt_path", "last"])]) == 0, capsys.readouterr().err
    assert read_checkpoint(path.with_name("last.ckpt"))["hyper_parameters"]["architecture"] == stored
    assert not list(path.parents[2].glob("version_1"))
    assert capsys.readouterr().out.count("resuming from") == 1
