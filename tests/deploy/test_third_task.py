"""A task that deploy has never heard of: registered, it predicts, is drawn, exported and answered over HTTP."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from pytorch_lightning import LightningModule
from torch import nn

from lightning_tasks import load
from lightning_tasks.__main__ import console
from lightning_tasks.data.datamodule import ImageDataModule
from lightning_tasks.data.images.decode import read_image
from lightning_tasks.errors import CheckpointError, ConfigError
from lightning_tasks.tasks import registry
from lightning_tasks.tasks.prediction import Answer, Columns, InferenceModule, OutputFormat, Prediction, shortest
from lightning_tasks.tasks.task import Task
from tests.fakes import write_image

NAMES = ("red", "error")  # the second is called like a column of ours
QUIET = ["--device", "cpu", "--progress", "false"]


class MeanColours(LightningModule):
    """Means of channels."""

    def __init__(self, colours, image_size):
        super().__init__()
        self.save_hyperparameters()
        self.backbone = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(3, len(colours), bias=False)


class Module(InferenceModule):
    def predict(self, inputs):
        return self.head(self.backbone(inputs))


@dataclass(frozen=True)
class Values(Prediction):
    names: tuple[str, ...]
    values: np.ndarray

    def cells(self):
        return [], self.values

    def as_json(self):
        return {"values": dict(zip(self.names, self.values.round(6).tolist(), strict=True))}

    def draw(self, canvas):
        canvas.write_lines([f"{name} {value:.1f}" for name, value in zip(self.names, self.values, strict=True)])


@dataclass
class Value:
    name: str
    value: float


@dataclass
class ValuesAnswer(Answer):
    """All numbers that the model predicts."""

    values: list[Value]


@dataclass(frozen=True)
class ValueFormat(OutputFormat[Values]):
    noun: ClassVar[str] = "value"
    output_name: ClassVar[str] = "values"
    unit_scale: ClassVar[str] = "values"
    score_name: ClassVar[str] = "MAE"
    description: ClassVar[str] = "estimates {} of an image"
    schema: ClassVar[type[Answer]] = ValuesAnswer

    names: tuple[str, ...]

    def decode(self, outputs, sizes):
        return [Values(self.names, row) for row in outputs.numpy()]

    def columns(self):
        return Columns((), self.names)

    def metadata(self):
        return {"task": "colours", "output": "values: (B, T) float32", "colours": list(self.names)}

    def as_json(self):
        return {"values": list(self.names)}

    def answer(self, prediction):
        pairs = zip(self.names, prediction.values, strict=True)
        return {"values": [Value(name, shortest(value)) for name, value in pairs]}

    def score(self, outputs, dataset, rows):
        raise NotImplementedError

    def to_unit_scale(self, differences, size):
        return differences / 255


class Colours(Task):
    name = "values"
    names_key = "colours"
    datamodule = type("ColourDataModule", (ImageDataModule,), {"decode_factor": 1.0})
    model = MeanColours

    def inference_module(self, model, preprocess):
        return Module(model, preprocess)

    def output_format(self, model, data_settings):
        return ValueFormat(tuple(model.hparams["colours"]))


Colours.__abstractmethods__ = frozenset()  # what is asked of a training is no matter here


@pytest.fixture
def checkpoint(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for i in range(2):
        write_image(tmp_path / f"images/{i}.png", (60, 80), seed=i)
    model = MeanColours(list(NAMES), (32, 32))
    nn.init.eye_(model.head.weight)
    torch.save({"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams)}, "a.ckpt")
    with pytest.raises(CheckpointError, match="none of the tasks"):
        load("a.ckpt", "cpu")
    monkeypatch.setattr(registry, "TASKS", (*registry.TASKS, Colours()))
    return "a.ckpt"


def means(name):
    return read_image(Path("images") / name).reshape(-1, 3).mean(0)[:2]


def test_annotation_tools_get_nothing_of_it(checkpoint, capsys):
    assert console(["predict", checkpoint, "images", "--format", "coco", *QUIET]) == 2
    assert "--format is for labels, points and numbers, and this checkpoint predicts values" in capsys.readouterr().err
    assert not list(Path().glob("predictions*"))


def test_it_is_predicted_into_every_table(checkpoint):
    Path("bad.png").write_text("no image")
    arguments = ["predict", checkpoint, "images", "bad.png", "--flip", "true", "--scales", "[1.0,2.0]", *QUIET]
    assert console([*arguments, "--annotate", "drawn"]) == 1
    with Path("predictions.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["fname", "error", "red", "error_"]
    assert rows[0][:2] == ["images/0.png", ""]
    assert np.array(rows[0][2:], float) == pytest.approx(means("0.png"), abs=1)
    assert rows[2][2:] == ["", ""]
    assert (read_image(Path("drawn/0.png.png")) != read_image(Path("images/0.png"))).any()
    assert console([*arguments, "--output", "p.json"]) == 1
    entries = json.loads(Path("p.json").read_text())
    assert list(entries[1]["values"].values()) == pytest.approx(means("1.png"), abs=1)
    assert set(entries[2]) == {"fname", "error"}


def test_a_threshold_is_not_for_it(checkpoint):
    with pytest.raises(ConfigError, match="this checkpoint predicts values"):
        load(checkpoint, "cpu", threshold=0.5)


def test_it_is_exported_with_what_it_says(checkpoint, capsys):
    assert console(["export", checkpoint, "--format", "safetensors", "--images", "images"]) == 0
    assert "largest difference of values from the checkpoint's, over 2 images" in capsys.readouterr().out
    described = json.loads(Path("a.json").read_text())["metadata"]
    assert (described["task"], json.loads(described["colours"])) == ("colours", list(NAMES))
    assert json.loads(described["image_size"]) == [32, 32]


def test_it_is_answered_over_http(checkpoint):
    testclient = pytest.importorskip("fastapi.testclient", exc_type=ImportError)
    from lightning_tasks.deploy.server.app import make_app
    from lightning_tasks.deploy.server.limits import Limits

    with testclient.TestClient(make_app(load(checkpoint, "cpu"), Limits(), "a.ckpt")) as client:
        answer = client.post("/predict", content=Path("images/0.png").read_bytes()).json()
        assert [value["name"] for value in answer["values"]] == list(NAMES)
        assert [value["value"] for value in answer["values"]] == pytest.approx(means("0.png"), abs=1)
        assert (answer["width_px"], answer["height_px"]) == (80, 60)
        assert client.get("/model").json()["values"] == list(NAMES)
        assert set(client.get("/openapi.json").json()["components"]["schemas"]) >= {"Value", "ValuesAnswer"}
        assert "All numbers that the model predicts" in client.get("/docs").text
        assert "The model estimates 2 values of an image, at 32×32 pixels" in client.get("/").text
