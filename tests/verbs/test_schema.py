"""The JSON schema of configs: what it takes, and what it marks."""

import json
from pathlib import Path

import pytest

from lightning_tasks import yaml_text
from lightning_tasks.__main__ import console
from lightning_tasks.config_files import packaged_configs
from lightning_tasks.verbs import schema as schema_verb
from tests.fakes import FLAGS, LABELS, write_multilabel
from tests.json_schema import mistakes


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    path = tmp_path_factory.mktemp("schema") / "s.json"
    assert console(["schema", str(path)]) == 0
    return json.loads(path.read_text(encoding="utf-8"))


def wrong(text, schema):
    return mistakes(yaml_text.load(text), schema, schema)


@pytest.mark.parametrize("name", packaged_configs())
def test_every_packaged_config_fits(name, schema):
    assert wrong(packaged_configs()[name].read_text(encoding="utf-8"), schema) == []


def test_a_runs_own_config_fits(labels_run, schema):
    folder, best = labels_run
    assert wrong((folder / best).parents[1].joinpath("config.yaml").read_text(encoding="utf-8"), schema) == []


@pytest.mark.parametrize(
    "text",
    [
        "model: MultiLabelClassifier",
        "model: {class_path: lightning_tasks.KeypointRegressor, init_args: {max_stride: 8}}",
        "model: {class_path: mine.models.Net, init_args: {whatever: 1}}",
        "model: {init_args: {max_stride: 8, flip_tta: true}}",  # an overlay
        "data: {class_path: KeypointDataModule, init_args: {size: [240, 320], swap_pairs: [[a, b]]}}",
        "trainer: {callbacks: [OneCycle, {class_path: EarlyStopping, init_args: {monitor: val/loss}}]}",
        "trainer: {callbacks: {class_path: FineTune, init_args: {epochs: 3}}}",
        "trainer: {callbacks: null, logger: false, max_epochs: null, devices: -1, strategy: ddp}",
        "trainer: {callbacks+: [EMAWeightAveraging], logger: {class_path: CSVLogger, init_args: {save_dir: logs}}}",
        "trainer: {callbacks+: mine.Callback}",
        "config: pascal\ntrainer: {max_epochs: 3}",
        "seed_everything: 1\nruns_dir: r\nckpt_path: last\nlast: {every_n_steps: 50}\ncheckpoint: {monitor: val/mAP}",
    ],
)
def test_what_may_be_written_fits(text, schema):
    assert wrong(text, schema) == []


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("modle: MultiLabelClassifier", "/modle: additionalProperties"),
        ("model: MultiLabelClasifier", "/model: anyOf"),
        ("model: {class_path: MultiLabelClasifier}", "/model/class_path: anyOf"),
        ("model: {class_path: lightning_tasks.MultiLabelClasifier}", "/model/class_path: anyOf"),
        ("model: {class_path: PascalDataModule}", "/model/class_path: anyOf"),
        ("model: {clas_path: MultiLabelClassifier}", "/model/clas_path: additionalProperties"),
        (
            "model: {class_path: MultiLabelClassifier, init_args: {treshold: 0.2}}",
            "/model/init_args/treshold: additionalProperties",
        ),
        (
            "model: {class_path: lightning_tasks.MultiLabelClassifier, init_args: {max_stride: 8}}",  # of another task
            "/model/init_args/max_stride: additionalProperties",
        ),
        ("model: {init_args: {max_strid: 8}}", "/model/init_args: anyOf"),
        (
            "model: {class_path: MultiLabelClassifier, init_args: {vocab: [cat]}}",  # the data says it
            "/model/init_args/vocab: additionalProperties",
        ),
        ("model: {class_path: KeypointRegressor, init_args: {head: heatmaps}}", "/model/init_args/head: enum"),
        ("data: {class_path: PascalDataModule, init_args: {size: big}}", "/data/init_args/size: anyOf"),
        ("data: {class_path: PascalDataModule, init_args: {size: [1, 2, 3]}}", "/data/init_args/size: anyOf"),
        ("data: {class_path: PascalDataModule, init_args: {flip: true}}", "/data/init_args/flip: additionalProperties"),
        ("data: {class_path: ValueDataModule, init_args: {batch_size: 1.5}}", "/data/init_args/batch_size: type"),
        ("trainer: {max_epoch: 1}", "/trainer/max_epoch: additionalProperties"),
        ("trainer: {callbacks: [OneCyle]}", "/trainer/callbacks: anyOf"),
        ("trainer: {callbacks+: [{class_path: FineTune, init_args: {epoch: 3}}]}", "/trainer/callbacks+: anyOf"),
        ("trainer: {precision: bf17-mixed}", "/trainer/precision: anyOf"),
        ("seed_everything: -1", "/seed_everything: minimum"),
        ("checkpoint: {monitr: val/mAP}", "/checkpoint/monitr: additionalProperties"),
    ],
)
def test_what_is_wrong_is_marked_where_it_stands(text, where, schema):
    assert wrong(text, schema) == [where]


def test_what_is_marked_is_what_the_command_line_refuses(capsys):
    Path("c.yaml").write_text("model: {class_path: MultiLabelClassifier, init_args: {treshold: 0.2}}")
    with pytest.raises(SystemExit) as end:
        console(["fit", "--config", "pascal", "--config", "c.yaml"])
    assert end.value.code == 2
    assert "treshold" in capsys.readouterr().err


def test_arguments_come_with_their_descriptions(schema):
    epochs = schema["definitions"]["FineTune"]["properties"]["epochs"]
    assert epochs["description"]
    assert "null" in schema["properties"]["trainer"]["properties"]["max_epochs"]["type"]


def test_every_reference_leads_somewhere(schema):
    def references(part):
        if isinstance(part, dict):
            yield from [part["$ref"]] if isinstance(part.get("$ref"), str) else []
            for value in part.values():
                yield from references(value)
        elif isinstance(part, list):
            for value in part:
                yield from references(value)

    assert {name.removeprefix("#/definitions/") for name in references(schema)} == set(schema["definitions"])


class OfClasses(type):
    pass


class Model:
    def __init__(self, kind: OfClasses) -> None:
        pass


def test_a_class_that_cannot_be_described_may_have_any_arguments():
    assert schema_verb._arguments(Model, set()) == {"type": "object"}


def test_no_file_of_another_kind_is_written_over(capsys):
    Path("mine.yaml").write_text("trainer: {max_epochs: 1}\n")
    assert console(["schema", "mine.yaml"]) == 2
    assert "mine.yaml is there already, and is no schema" in capsys.readouterr().err
    assert Path("mine.yaml").read_text() == "trainer: {max_epochs: 1}\n"
    Path("folder").mkdir()
    assert console(["schema", "folder"]) == 2
    assert console(["schema", "new/s.json"]) == console(["schema", "new/s.json"]) == 0


def test_a_config_of_init_names_the_schema_that_lies_beside_it(schema, tmp_path):
    write_multilabel(Path("root"), LABELS)
    assert console(["init", "root/labels.csv", "--output", "configs/mine.yaml"]) == 0
    text = Path("configs/mine.yaml").read_text(encoding="utf-8")
    option, name = text.partition("\n")[0].split("=")
    assert option == "# yaml-language-server: $schema"
    assert json.loads((Path("configs") / name).read_text(encoding="utf-8")) == schema
    assert wrong(text, schema) == []
    assert console(["prepare", "--config", "configs/mine.yaml", *FLAGS[:2]]) == 0


def test_init_leaves_another_file_of_the_schemas_name_alone(capsys):
    write_multilabel(Path("root"), LABELS)
    Path(schema_verb.SCHEMA_FILE).write_text("mine")
    assert console(["init", "root/labels.csv"]) == 2
    assert Path(schema_verb.SCHEMA_FILE).read_text() == "mine"
    assert not Path("labels.yaml").exists()


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
