"""The verb `probe`, from a config to a run that every other verb knows."""

import contextlib
import csv
import io
import os
import re
from pathlib import Path

import pytest
import torch

from lightning_tasks.__main__ import console
from tests.fakes import LABELS, POINTS, draw_pascal, write_multilabel, write_points

CONF = Path(__file__).parents[2] / "conf"
SMALL = ["--trainer.accelerator", "cpu", "--trainer.precision", "32-true", "--trainer.enable_progress_bar", "false"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A probe of drawn shapes on random features: its folder, and what it printed."""
    folder = tmp_path_factory.mktemp("probe")
    draw_pascal(folder / "data/pascal_sample", n=80)
    here, printed = Path.cwd(), io.StringIO()
    os.chdir(folder)
    try:
        args = ["--config", str(CONF / "pascal_sample.yaml"), "--data.size", "32", "--model.head", "linear", *SMALL]
        with contextlib.redirect_stdout(printed):
            assert console(["probe", *args, "--folds", "3"]) == 0
    finally:
        os.chdir(here)
    return folder / "runs/pascal_sample/version_0", printed.getvalue()


def test_it_ends_as_a_run(run):
    version, printed = run
    files = {str(path.relative_to(version)) for path in version.rglob("*") if path.is_file()}
    assert {"config.yaml", "metrics.csv", "results.png", "checkpoints/best.ckpt", "checkpoints/last.ckpt"} <= files
    assert any(name.startswith("events.out") for name in files)
    with (version / "probe.csv").open() as file:
        grid = list(csv.DictReader(file))
    assert [row["chosen"] for row in grid].count("True") == 1
    for row in grid:
        assert float(row["val/mAP"]) == pytest.approx(sum(float(row[f"fold_{i}"]) for i in range(3)) / 3)
    told = float(re.search(r"validation +val/mAP ([\d.]+)", printed)[1])
    with (version / "metrics.csv").open() as file:
        (logged,) = [float(row["val/mAP"]) for row in csv.DictReader(file) if row.get("val/mAP")]
    assert logged == pytest.approx(told, abs=1e-4)


def test_validate_scores_its_checkpoint_alike(run, capsys, monkeypatch):
    version, printed = run
    monkeypatch.chdir(version.parents[2])
    for name in ("best", "last"):
        assert console(["validate", str(version / f"checkpoints/{name}.ckpt"), *SMALL]) == 0
        scored = float(re.search(r"val/mAP\W+([\d.]+)", capsys.readouterr().out)[1])
        assert scored == pytest.approx(float(re.search(r"validation +val/mAP ([\d.]+)", printed)[1]), abs=2e-3)


def test_a_training_takes_its_config_and_its_checkpoint(run, capsys, monkeypatch):
    version, _ = run
    monkeypatch.chdir(version.parents[2])
    fit = ["fit", "--config", str(version / "config.yaml"), "--trainer.max_epochs", "1"]
    assert console([*fit, "--ckpt_path", str(version / "checkpoints/last.ckpt")]) == 0
    printed = capsys.readouterr()
    assert re.search(r"^ +0 .*\d$", printed.out, re.MULTILINE), printed  # the first epoch is still to come


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


TINY = ["--data.root", "root", "--data.size", "32", "--data.batch_size", "2", "--model.pretrained", "false", *SMALL]
BACKBONE = ["--model.backbone", "test_resnet"]


def probe(config, *more):
    return console(["probe", "--config", str(CONF / f"{config}.yaml"), *TINY, "--folds", "2", *more])


def test_numbers_are_probed_and_scored_low(folder, capsys):
    rows = [f"{i}.jpg,{i},{i >= 6}" for i in range(8)]
    write_multilabel(folder / "root", ["fname,age,is_valid", *rows])
    (folder / "root/labels.csv").rename(folder / "root/values.csv")
    assert probe("values", *BACKBONE, "--weight_decays", "[0, 1]") == 0
    printed = capsys.readouterr().out
    found = re.findall(r"^ +(\S+) +0.001  ([\d.]+) ±.*?( chosen)?$", printed, re.MULTILINE)
    assert [decay for decay, *_ in found] == ["0", "1"]
    assert min(found, key=lambda row: float(row[1]))[2] == " chosen"
    assert "val/loss" in printed
    assert Path("runs/value/version_0/checkpoints/best.ckpt").is_file()


def test_exactly_one_label_is_probed(folder):
    write_multilabel(folder / "root", LABELS)
    assert probe("multiclass", *BACKBONE, "--model.head", "linear") == 0
    assert Path("runs/multi_class/version_0/checkpoints/best.ckpt").is_file()


@pytest.mark.parametrize(
    ("config", "more", "message"),
    [
        ("keypoints", [], r"No linear probe: points move.*Points need `fit`"),
        ("keypoints", ["--config", str(CONF / "heatmap.yaml")], r"No linear probe: points move.*need `fit`"),
        ("multilabel", ["--model.head", "attention"], r"`attention` takes whole maps.*--model.head linear"),
        ("multilabel", ["--views", "0"], r"views is 0; it must be at least 1"),
        ("multilabel", ["--lrs", "[0]"], r"rates above 0"),
        ("multilabel", ["--folds", "7"], r"6 groups \(or rows\) cannot make 7 folds. Take fewer"),
        ("multilabel", ["--backbones", "[test_resnet, no_net]"], r"timm has no backbone 'no_net'"),
    ],
)
def test_what_cannot_be_probed_is_told_in_one_message(folder, capsys, config, more, message):
    write_multilabel(folder / "root", LABELS)
    write_points(folder / "root", POINTS)
    write_multilabel(folder / "root", LABELS)
    assert probe(config, *BACKBONE, *more) == 2
    errors = capsys.readouterr().err
    assert re.search(message, errors, re.DOTALL), errors
    assert "Traceback" not in errors
    assert not list(Path().glob("runs/*/*/checkpoints/*"))


def test_backbones_are_compared_and_the_best_becomes_the_run(folder, capsys):
    """Each has its weights in one folder, which the run's config names too."""
    import timm
    import torch
    import yaml
    from safetensors.torch import save_file

    write_multilabel(folder / "root", LABELS)
    (folder / "weights").mkdir()
    names = ["test_resnet", "test_efficientnet"]
    for name in names:
        torch.manual_seed(1)
        save_file(timm.create_model(name).state_dict(), folder / f"weights/{name}.safetensors")
    weights = ["--model.weights", "weights", "--model.head", "linear"]
    assert probe("multilabel", *BACKBONE, *weights, "--backbones", str(names)) == 0
    printed = capsys.readouterr().out
    table = re.findall(r"^(test_\w+) +[\d.]+ +([\d.]+) ± [\d.]+ +([\d.]+) +[\d.]+ +[\d.]+( +best)?$", printed, re.M)
    assert [row[0] for row in table] == names
    (best,) = [row for row in table if row[3]]
    assert float(best[1]) == max(float(row[1]) for row in table)
    (run,) = Path("runs/multi_label").iterdir()
    assert yaml.safe_load((run / "config.yaml").read_text())["model"]["init_args"]["backbone"] == best[0]
    kept = torch.load(run / "checkpoints/best.ckpt", weights_only=True)
    assert kept["hyper_parameters"]["backbone"] == best[0]
    state = {key: value for key, value in kept["state_dict"].items() if key.startswith("backbone.body.")}
    from safetensors.torch import load_file

    file = load_file(f"weights/{best[0]}.safetensors")
    assert all(torch.equal(file[key.removeprefix("backbone.body.")], value) for key, value in state.items())


def test_a_training_starts_from_the_probes_head_and_a_resumed_one_does_not_probe(folder, capsys):
    write_multilabel(folder / "root", LABELS)
    Path("own.yaml").write_text(
        "trainer:\n  callbacks:\n  - class_path: LinearProbe\n    init_args: {folds: 2, epochs: 2, validate: false}\n"
        "  - class_path: FineTune\n    init_args: {epochs: 1, freeze_epochs: 0}\n  max_epochs: 1\n"
    )
    fit = ["fit", "--config", str(CONF / "multilabel.yaml"), "--config", "own.yaml", *TINY, *BACKBONE]
    assert console(fit) == 0
    printed = capsys.readouterr().out
    assert (printed.count("fits in"), re.findall("^validation ", printed, re.M)) == (1, [])
    assert console([*fit, "--trainer.max_epochs", "2", "--ckpt_path", "last"]) == 0
    assert "fits in" not in capsys.readouterr().out


def test_rare_labels_weigh_and_are_shown_more_often_as_in_training(folder, capsys):
    write_multilabel(folder / "root", [LABELS[0], LABELS[1].replace("dog", "dog rare"), *LABELS[2:]])
    options = [[], ["--data.oversample_threshold", "1"], ["--model.pos_weight", "balanced"]]
    for more in options:
        assert probe("multilabel", *BACKBONE, "--weight_decays", "[0]", "--data.stratify", "false", *more) == 0
    assert "pos_weight balanced: 1 (cat) to 5 (rare)" in capsys.readouterr().out
    heads = []
    for version in range(len(options)):
        (checkpoint,) = Path("runs").glob(f"*/version_{version}/checkpoints/last.ckpt")
        stored = torch.load(checkpoint, weights_only=True)["state_dict"]
        heads.append(torch.cat([value.flatten() for name, value in stored.items() if name.startswith("head")]))
    assert all((heads[0] != other).any() for other in heads[1:])
