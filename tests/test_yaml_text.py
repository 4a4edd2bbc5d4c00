"""Text stays text on its way through YAML, whoever reads it."""

import json

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonargparse import ArgumentParser, get_loader
from pytorch_lightning import LightningDataModule

from lightning_tasks import yaml_text
from lightning_tasks.__main__ import console
from lightning_tasks.cli import main
from lightning_tasks.yaml_text import dump_in_one_line
from tests.conftest import CONF
from tests.fakes import FLAGS, write_multilabel

LOOK_LIKE_OTHER_THINGS = [
    *("1e3", "12e5", "0x10", "1_000", "yes", "Off", "2026-11-27", "null", "1:30", ".5", "+1", "-", "~", "#", "---"),
    *("NaN", ".inf", "1.", "0o17", "=", "<<", "!x", "&a", "*a", "a: b", "a #b", "[a]", "{a}", "'a'", '"a"', "", " "),
    *("\x85", "\u2028", "\ufeff", "\U0001f600", "a\nb", "\ta", "caf\u00e9", "true", "%", "@", "`", "?", ":", "|", ">"),
]
TEXT = st.one_of(st.sampled_from(LOOK_LIKE_OTHER_THINGS), st.text(st.characters(exclude_categories=("Cs",))))


@pytest.fixture(scope="module")
def parser():
    """What the command line reads the section `data` with, and an option that may be null."""
    yaml_text.use_for_configs()
    parser = ArgumentParser()
    parser.add_argument("--config", action="config")
    parser.add_subclass_arguments(LightningDataModule, "data")
    parser.add_argument("--run_name", type=str | None)
    return parser


def config_of(root, csv, separator, vocab):
    arguments = {"root": root, "csv": csv, "label_separator": separator, "vocab": vocab}
    return {"data": {"class_path": "lightning_tasks.MultiLabelDataModule", "init_args": arguments}}


@settings(max_examples=40, deadline=None)
@given(TEXT, TEXT, TEXT, st.lists(TEXT, min_size=1, max_size=5))
@example("1e3", "12e5", "#", LOOK_LIKE_OTHER_THINGS)
def test_settings_come_back_as_they_were(parser, root, csv, separator, vocab):
    config = config_of(root, csv, separator, vocab)
    stored = parser.parse_args(["--config", dump_in_one_line(config)])  # from a checkpoint
    saved = parser.dump(stored)  # a run's config.yaml
    again = parser.parse_args(["--config", saved])
    for read in (stored.data, again.data, yaml.safe_load(saved)["data"]):
        arguments = read["init_args"]
        assert {name: arguments[name] for name in config["data"]["init_args"]} == config["data"]["init_args"]


@settings(max_examples=40, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=5))
@example(LOOK_LIKE_OTHER_THINGS)
def test_point_names_come_back_as_they_were(parser, names):
    pairs = list(zip(names, reversed(names), strict=True))
    arguments = {"root": ".", "point_names": names, "swap_pairs": pairs}
    config = {"data": {"class_path": "lightning_tasks.KeypointDataModule", "init_args": arguments}}
    stored = parser.parse_args(["--config", dump_in_one_line(config)])
    for read in (stored, parser.parse_args(["--config", parser.dump(stored)])):
        assert read.data.init_args.point_names == names
        assert read.data.init_args.swap_pairs == pairs


@settings(max_examples=300)
@given(TEXT)
def test_one_line_is_one_line_of_ascii(text):
    line = yaml_text.dump_in_one_line({"key": [text, text], text: None})
    assert line.isascii()
    assert len(line.splitlines()) == 1
    for read in (yaml.safe_load, get_loader("yaml")):
        assert read(line) == {"key": [text, text], text: None}


@pytest.mark.parametrize("name", ["#", "~", "?", "---", "&a", "1e3", "!x"])
def test_an_option_that_may_be_null_takes_text(parser, name):
    assert parser.parse_args([f"--run_name={name}"]).run_name == name
    assert parser.parse_args(["--config", json.dumps({"run_name": name})]).run_name == name


def test_null_stays_null(parser):
    assert parser.parse_args(["--run_name", "null"]).run_name is None
    assert parser.parse_args(["--config", "run_name: ~"]).run_name is None


def test_labels_on_the_command_line(parser):
    given_words = ["--data", "MultiLabelDataModule", "--data.root", "1e3", "--data.vocab", '["1e3", cat, "null"]']
    assert parser.parse_args(given_words).data.init_args.vocab == ["1e3", "cat", "null"]


def test_text_that_yaml_takes_for_a_number_is_told_how_to_quote(capsys):
    words = ["check", "--config", str(CONF / "multilabel.yaml"), "--data.root", "x", "--data.vocab", "[cat, 1e3]"]
    with pytest.raises(SystemExit, match="2"):
        main(words)
    said = capsys.readouterr().err
    assert "Got value: 1000.0" in said
    assert """needs quotes: in a config "1e3", in a list '["1e3", cat]'""" in said


def test_a_run_of_labels_like_numbers_goes_on_from_what_it_wrote(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    lines = ["fname,labels,is_valid", *(f"{i}.jpg,{('1e3', '12e5')[i % 2]},{i >= 6}" for i in range(8))]
    write_multilabel(tmp_path / "1e3", lines)
    quick = [*FLAGS, "--model.pretrained", "false", "--trainer.max_epochs", "1", "--data.size", "32"]
    assert console(["init", "1e3/labels.csv"]) == 0
    assert console(["fit", "--config", "labels.yaml", *quick, "--data.vocab", '["12e5", "1e3"]']) == 0
    run = tmp_path / "runs" / "multi_class" / "version_0"
    assert console(["validate", str(run / "checkpoints" / "best.ckpt")]) == 0
    assert console(["fit", "--config", str(run / "config.yaml"), "--trainer.fast_dev_run", "1"]) == 0
    section = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))["data"]["init_args"]
    assert (section["root"], section["vocab"]) == ("1e3", ["12e5", "1e3"])
