"""Text stays text on its way through YAML, whoever reads it."""

import json

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonargparse import ArgumentParser, get_loader
from pytorch_lightning import LightningDataModule

import lightning_tasks.data  # noqa: F401 - the classes that a config may name
from lightning_tasks import yaml_text
from lightning_tasks.stored_settings import as_config

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


@settings(max_examples=150, deadline=None)
@given(TEXT, TEXT, TEXT, st.lists(TEXT, min_size=1, max_size=5))
@example("1e3", "12e5", "#", LOOK_LIKE_OTHER_THINGS)
def test_settings_come_back_as_they_were(parser, root, csv, separator, vocab):
    config = config_of(root, csv, separator, vocab)
    stored = parser.parse_args(["--config", as_config(config)])  # from a checkpoint
    saved = parser.dump(stored)  # a run's config.yaml
    again = parser.parse_args(["--config", saved])
    for read in (stored.data, again.data, yaml.safe_load(saved)["data"]):
        arguments = read["init_args"]
        assert {name: arguments[name] for name in config["data"]["init_args"]} == config["data"]["init_args"]


@settings(max_examples=150, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=5))
@example(LOOK_LIKE_OTHER_THINGS)
def test_point_names_come_back_as_they_were(parser, names):
    pairs = list(zip(names, reversed(names), strict=True))
    arguments = {"root": ".", "point_names": names, "swap_pairs": pairs}
    config = {"data": {"class_path": "lightning_tasks.KeypointDataModule", "init_args": arguments}}
    stored = parser.parse_args(["--config", as_config(config)])
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


@pytest.mark.parametrize("name", ["#", "---", "&a", "1e3", "!x"])
def test_an_option_that_may_be_null_takes_text(parser, name):
    assert parser.parse_args([f"--run_name={name}"]).run_name == name
    assert parser.parse_args(["--config", json.dumps({"run_name": name})]).run_name == name


def test_null_stays_null(parser):
    assert parser.parse_args(["--run_name", "null"]).run_name is None
    assert parser.parse_args(["--config", "run_name: ~"]).run_name is None


def test_labels_on_the_command_line(parser):
    given_words = ["--data", "MultiLabelDataModule", "--data.root", "1e3", "--data.vocab", '["1e3", cat, "null"]']
    assert parser.parse_args(given_words).data.init_args.vocab == ["1e3", "cat", "null"]
