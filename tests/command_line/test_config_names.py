"""Which file a `--config` means, and the list of those that come with the package."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lightning_tasks.__main__ import console
from lightning_tasks.command_line.arguments import with_config_files
from lightning_tasks.config_files import packaged_configs
from lightning_tasks.errors import ConfigError
from tests.conftest import CONF

PACKAGED = {path.stem: path for path in CONF.glob("*.yaml")}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def chosen(*args):
    """Return the files that a command line's configs are."""
    done = with_config_files(["fit", *args])
    return [Path(word.rpartition("=")[2]) for word in done[1:] if word not in ("--config", "-c")]


def test_the_package_holds_the_projects_configs():
    assert {name: path.resolve() for name, path in packaged_configs().items()} == PACKAGED


@pytest.mark.parametrize(
    "args", [["--config", "pascal"], ["--config=pascal"], ["-c", "pascal"], ["-c=pascal"], ["-cpascal"]]
)
def test_a_packaged_config_is_found_by_its_name_however_it_is_given(args):
    assert [path.resolve() for path in chosen(*args)] == [PACKAGED["pascal"]]


def test_names_and_files_are_laid_over_each_other_in_their_order():
    Path("own.yaml").write_text("data: {init_args: {size: 32}}\n")
    paths = chosen("--config", "pascal", "--config", "own.yaml", "-c=gpu")
    assert [path.resolve() for path in paths] == [PACKAGED["pascal"], Path("own.yaml").resolve(), PACKAGED["gpu"]]


def test_a_file_that_is_there_goes_first_and_a_folder_does_not():
    Path("pascal").mkdir()
    Path("gpu").write_text("trainer: {devices: 2}\n")
    assert [path.resolve() for path in chosen("-c", "pascal", "-c", "gpu")] == [
        PACKAGED["pascal"],
        Path("gpu").resolve(),
    ]


@pytest.mark.parametrize(
    "text", ["{trainer: {max_epochs: 1}}", "seed_everything: 1", "trainer:\n  max_epochs: 1\n", ""]
)
def test_settings_as_text_stay_what_they_are(text):
    assert with_config_files(["fit", f"--config={text}"]) == ["fit", "--config", text]


@pytest.mark.parametrize(
    ("given", "near"),
    [
        ("pascl", "pascal"),
        ("pascal.yaml", "pascal"),  # a file's name: no other file takes its place without a word
        ("conf/pascal.yaml", "pascal"),
        ("~/nowhere/heatmpa.yml", "heatmap"),
        ("mine", "mine.yaml"),
        ("sub/mine.yaml", "sub/mine.yml"),
    ],
)
def test_an_unknown_config_is_told_with_what_is_near(given, near):
    Path("mine.yaml").touch()
    Path("sub").mkdir()
    Path("sub/mine.yml").touch()
    with pytest.raises(
        ConfigError, match=rf"Is (.* or )?{re.escape(near)}( or .*)? meant\?.*`lightning-tasks configs`"
    ):
        with_config_files(["fit", "--config", given])


def test_what_is_like_nothing_gets_no_guess():
    with pytest.raises(ConfigError, match=r"There is no config 'qqqqqq': neither.*one of that name. `lightning-tasks"):
        with_config_files(["fit", "--config=qqqqqq"])


def test_a_folder_is_no_config():
    Path("mine").mkdir()
    with pytest.raises(ConfigError, match=r"no config 'mine' \(it is a folder\)"):
        with_config_files(["fit", "--config", "mine"])


@pytest.mark.parametrize("args", [["prepare", "--config", "pascl"], ["validate", "x.ckpt", "-c", "pascl"]])
def test_an_unknown_config_is_a_mistake_of_one_line(args, capsys):
    assert console(args) == 2
    assert re.fullmatch(r"error: There is no config 'pascl': .*\n", capsys.readouterr().err)


def test_packaged_configs_reach_the_parser(capsys):
    with pytest.raises(SystemExit) as end:
        console(["fit", "--config", "pascal", "-c", "fine_tune", "--config=bf16", "--print_config"])
    assert end.value.code == 0
    settings = yaml.safe_load(capsys.readouterr().out)
    assert settings["data"]["class_path"] == "lightning_tasks.PascalDataModule"
    assert settings["trainer"]["callbacks"][0]["class_path"] == "lightning_tasks.FineTune"
    assert settings["trainer"]["precision"] == "bf16-mixed"


def test_a_config_may_be_laid_over_a_packaged_one_or_one_beside_it(capsys):
    Path("sub").mkdir()
    Path("sub/base.yaml").write_text("config: pascal\ntrainer: {max_epochs: 3}\n")
    Path("sub/own.yaml").write_text("config: base.yaml\ntrainer: {min_epochs: 2}\n")
    with pytest.raises(SystemExit) as end:
        console(["fit", "--config", "sub/own.yaml", "--print_config"])
    assert end.value.code == 0
    settings = yaml.safe_load(capsys.readouterr().out)
    assert settings["data"]["class_path"] == "lightning_tasks.PascalDataModule"
    assert [settings["trainer"][name] for name in ("min_epochs", "max_epochs")] == [2, 3]
    assert settings["trainer"]["callbacks"][0]["class_path"] == "lightning_tasks.OneCycle"  # of what lies below
    Path("loop.yaml").write_text("config: loop.yaml\n")
    assert console(["fit", "--config", "loop.yaml"]) == 2
    assert "loop.yaml is laid over itself" in capsys.readouterr().err
    Path("bad.yaml").write_text("config: pascl\n")
    assert console(["fit", "--config", "bad.yaml"]) == 2
    assert "Is pascal " in capsys.readouterr().err


def test_configs_are_listed_with_their_first_lines_and_overlays_after_them(capsys):
    assert console(["configs"]) == 0
    complete, overlays = capsys.readouterr().out.split("overlays: ")
    lines = [line.split(maxsplit=1) for line in (complete + overlays).splitlines() if line.startswith("  ")]
    told = dict(lines)
    assert set(told) == set(PACKAGED)
    for name, path in PACKAGED.items():
        first = path.read_text(encoding="utf-8").partition("\n")[0]
        is_overlay = first.startswith("# Overlay: ")
        assert first.removeprefix("# ").removeprefix("Overlay: ") == told[name]
        assert f"\n  {name} " in (overlays if is_overlay else complete)
        assert is_overlay != ("class_path" in str(yaml.safe_load(path.read_text(encoding="utf-8")).get("data", {})))
        assert first.endswith("."), f"{name}: the first line is a sentence"
        assert len(told[name]) < 110


def test_one_is_printed_as_it_is(capsysbinary):
    assert console(["configs", "--show", "values_sample"]) == 0
    assert capsysbinary.readouterr().out == PACKAGED["values_sample"].read_bytes()


def test_one_that_is_not_there_is_told(capsys):
    assert console(["configs", "--show", "pascal_sampel"]) == 2
    assert "Is pascal_sample" in capsys.readouterr().err


def test_the_list_needs_no_torch():
    code = (
        "import sys; from lightning_tasks.__main__ import console; "
        "assert console(['configs']) == console(['configs', '--show', 'pascal']) == 0; "
        "assert not {'torch', 'pytorch_lightning', 'cv2', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("configs", [["linear"], ["linear", "multilabel"]])
def test_an_overlay_alone_is_told(capsys, configs):
    with pytest.raises(SystemExit, match="2"):
        console(["fit", *(part for name in configs for part in ("--config", name))])
    told = "An overlay comes after a complete config: --config multilabel --config OVERLAY."
    assert told in capsys.readouterr().err


def test_no_config_is_told(capsys):
    with pytest.raises(SystemExit, match="2"):
        console(["check"])
    assert "Name a config: `lightning-tasks configs` lists some, `init` writes yours." in capsys.readouterr().err
