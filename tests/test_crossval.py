"""A training for each fold as one command: what it leaves, that it can be killed anywhere, and what it refuses."""

import csv
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback

from lightning_tasks import MultiLabelDataModule, crossval, load
from lightning_tasks.__main__ import console
from lightning_tasks.errors import TrainingError
from lightning_tasks.folds import read_out_of_fold
from lightning_tasks.tasks.multilabel.scores import average_precision
from lightning_tasks.verbs import crossval as results
from tests.fakes import FLAGS, POINTS, write_multilabel, write_points
from tests.forks import forks_can_train
from tests.tasks.values.conftest import write_values
from tests.training.small_runs import CONF, ENVIRONMENT, assert_same

N, FOLDS = 14, 3
# In groups of two; the last two are marked for a last report, and stay out.
LINES = ["fname,labels,group,is_valid", *(f"{i}.jpg,{'cat' if i % 3 else 'dog'},p{i // 2},{i >= 12}" for i in range(N))]
WHOLE = Path("runs/whole/crossval_0")


class Ender(Callback):
    """End the process, or raise, within a fold: where the environment says so."""

    def on_train_batch_start(self, trainer, *args):
        if os.environ.get("END_AT") == f"{trainer.datamodule.fold} {trainer.global_step}":
            if "RAISE" in os.environ:
                raise TrainingError("nothing is left")
            os.kill(os.getpid(), int(os.environ["SIGNAL"]))


def arguments(*more, name="whole"):
    small = ["--data.root", "root", "--data.size", "32", "--data.batch_size", "3", "--model.pretrained", "false"]
    config = ["--config", str(CONF / "multilabel.yaml"), "--config", "ender.yaml", *FLAGS, *small, "--run_name", name]
    return ["crossval", *config, "--trainer.max_epochs", "1", "--folds", str(FOLDS), *more]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with data, and a cross-validation that nothing has disturbed."""
    folder = tmp_path_factory.mktemp("crossval")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_multilabel(Path("root"), LINES, N)
        Path("ender.yaml").write_text("trainer:\n  log_every_n_steps: 1\n  callbacks: [tests.test_crossval.Ender]\n")
        assert console(arguments()) == 0
    return folder


@pytest.fixture(autouse=True)
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)


def rows(path):
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_each_image_is_predicted_once_by_the_model_of_its_fold_and_groups_stay_whole():
    table = rows(WHOLE / "out_of_fold.csv")
    assert [Path(row["fname"]).name for row in table] == [f"{i}.jpg" for i in range(12)]
    assert list(table[0]) == ["fname", "labels", "predicted", "ignored", "cat", "dog", "fold"]
    for number in range(FOLDS):
        data = MultiLabelDataModule("root", fold=number, folds=FOLDS)
        assert [i for i, row in enumerate(table) if row["fold"] == str(number)] == data.split[1].tolist()
    assert all(table[i]["fold"] == table[i + 1]["fold"] for i in range(0, 12, 2))
    found = read_out_of_fold(WHOLE)
    assert found.rows.tolist() == list(range(12))
    assert found.groups == tuple(f"p{i // 2}" for i in range(12))
    assert [f"{p:.6f}" for p in found.probabilities[:, 0].tolist()] == [row["cat"] for row in table]


def test_scores_have_the_mean_and_the_spread_of_the_folds():
    table = {row["fold"]: row for row in rows(WHOLE / "scores.csv")}
    assert list(table) == ["0", "1", "2", "mean", "std", "pooled"]
    for name in ("accuracy", "mAP", "f1_macro", "best val/mAP"):
        each = [float(table[str(number)][name]) for number in range(FOLDS)]
        assert float(table["mean"][name]) == pytest.approx(np.mean(each), rel=1e-6)
        assert float(table["std"][name]) == pytest.approx(np.std(each, ddof=1), rel=1e-6, abs=1e-7)
    found = rows(WHOLE / "out_of_fold.csv")
    for number in (*range(FOLDS), "pooled"):
        of = [row for row in found if row["fold"] == str(number) or number == "pooled"]
        probabilities = torch.tensor([[float(row["cat"]), float(row["dog"])] for row in of])
        targets = torch.tensor([[row["labels"] == "cat", row["labels"] == "dog"] for row in of]).float()
        ap = average_precision(probabilities, targets).nanmean()
        assert float(table[str(number)]["mAP"]) == pytest.approx(float(ap), abs=1e-4)


def test_a_fold_is_an_ordinary_run_that_nothing_of_the_others_has_touched(capsys):
    config = str(WHOLE / "fold_1" / "config.yaml")
    assert console(["fit", "--config", config, "--run_name", "alone"]) == 0
    assert_same(result(WHOLE / "fold_1"), result(Path("runs/alone/version_0")))
    capsys.readouterr()
    assert (
        console(["get_preds", str(WHOLE / "fold_1" / "checkpoints" / "last.ckpt"), "--trainer.accelerator", "cpu"]) == 0
    )
    of_fold = [row for row in rows(WHOLE / "out_of_fold.csv") if row.pop("fold") == "1"]
    assert rows("predictions.csv") == of_fold


def test_the_folder_predicts_as_the_mean_of_its_folds():
    folds = [load(WHOLE / f"fold_{i}" / "checkpoints" / "last.ckpt", "cpu") for i in range(FOLDS)]
    names = ["root/12.jpg", "root/13.jpg"]
    wanted = np.mean([[one.probabilities for one in fold(names)] for fold in folds], axis=0)
    assert np.allclose([one.probabilities for one in load(str(WHOLE), "cpu")(names)], wanted, atol=1e-6)


def result(folder):
    last = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    return (folder / "metrics.csv").read_bytes(), last


def assert_as_whole(name):
    assert [path.name for path in Path("runs", name).iterdir()] == ["crossval_0"]
    other = Path("runs", name, "crossval_0")
    for number in range(FOLDS):
        assert_same(result(WHOLE / f"fold_{number}"), result(other / f"fold_{number}"))
    for file in ("scores.csv", "out_of_fold.csv"):
        assert (other / file).read_bytes() == (WHOLE / file).read_bytes()
    assert {path.name for path in other.iterdir()} == {path.name for path in WHOLE.iterdir()}


def killed_in(module, name):
    """Return a way to be killed where one of our own functions is called."""
    return lambda: setattr(module, name, lambda *args, **kwargs: os.kill(os.getpid(), signal.SIGKILL))


def killed_at(fold, step):
    return lambda: os.environ.update({"END_AT": f"{fold} {step}", "SIGNAL": str(int(signal.SIGKILL))})


KILLS = {
    "within": (killed_at(1, 1), ["--last.every_n_steps", "1"]),
    "before": (killed_at(0, 0), []),  # nothing was saved yet
    "between": (killed_in(crossval, "save_fold"), []),  # a fold is trained, and not predicted yet
    "writing": (killed_in(results, "write_whole"), []),
}


def run_killed(name):
    prepare, more = KILLS[name]
    prepare()
    console(arguments(*more, name=name))


def kill(name):
    """See the run killed, in a fork of this process, which has torch, or in a new one."""
    if forks_can_train():
        process = multiprocessing.get_context("fork").Process(target=run_killed, args=(name,))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    else:
        code = f"from tests.test_crossval import run_killed; run_killed({name!r})"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=ENVIRONMENT)
        assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", KILLS)
def test_killed_anywhere_the_same_command_ends_as_if_it_had_not_been(name):
    kill(name)
    before = {path: path.stat().st_mtime_ns for path in Path("runs", name).rglob("fold_predictions.pt")}
    assert console(arguments(*KILLS[name][1], "--ckpt_path", "last", name=name)) == 0
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())  # finished folds are left alone
    assert_as_whole(name)


def test_what_is_complete_is_not_trained_again(capsys):
    before = {path: path.stat().st_mtime_ns for path in WHOLE.rglob("*.ckpt")}
    written = (WHOLE / "scores.csv").read_bytes()
    assert console(arguments("--ckpt_path", "last")) == 0
    assert {path: path.stat().st_mtime_ns for path in WHOLE.rglob("*.ckpt")} == before
    assert (WHOLE / "scores.csv").read_bytes() == written
    assert "train/loss" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("step", "told"), [(0, "stopped at step 1; --ckpt_path last"), (1, "stopped after fold 0; --ckpt_path last")]
)
def test_a_signal_saves_and_leaves_as_in_fit_also_in_a_folds_last_step(step, told, monkeypatch, capsys):
    monkeypatch.setenv("END_AT", f"0 {step}")
    monkeypatch.setenv("SIGNAL", str(int(signal.SIGTERM)))
    with pytest.raises(SystemExit) as left:
        console(arguments(name=f"stopped_{step}"))
    assert left.value.code == 143
    assert told in capsys.readouterr().out
    own = Path(f"runs/stopped_{step}/crossval_0")
    assert torch.load(own / "fold_0/checkpoints/last.ckpt", weights_only=True)["global_step"] == step + 1
    assert not (own / "fold_1").exists()


def test_a_fold_that_fails_is_named(monkeypatch, capsys):
    monkeypatch.setenv("END_AT", "0 0")
    monkeypatch.setenv("RAISE", "1")
    assert console(arguments(name="failing")) == 2
    assert "error: Fold 0 of 3: nothing is left" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "part"),
    [
        (["--folds", "1"], "folds must be 2 or more"),
        (["--folds", "9"], "cannot make 9 folds"),
        (["--data.train_on_valid", "true"], "train_on_valid trains on the very fold"),
        (["--trainer.fast_dev_run", "true"], "leaves nothing to score"),
        (["--trainer.enable_checkpointing", "false"], "leaves no weights to score"),
        (["--checkpoint.dirpath", "here"], "one folder for all folds"),
        (["--trainer.devices", "2"], "Give --trainer.devices 1"),
        (["--ckpt_path", "a.ckpt"], "it is `last`"),
        (["--ckpt_path", "last", "--run_name", "none"], "There is no crossval_N"),
        (["--ckpt_path", "last", "--trainer.max_epochs", "2"], "trainer.max_epochs is 2, and was 1"),
        (["--ckpt_path", "last", "--data.split_seed", "7"], "data.init_args.split_seed is 7"),
        (["--data.csv", "rare.csv", "--data.stratify", "false", "--folds", "2"], "have no owl"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_trained(more, part, capsys):
    rare = [line.replace("cat", "owl") if line.startswith("4.jpg") else line for line in LINES]
    Path("root/rare.csv").write_text("\n".join(rare) + "\n")
    before = sorted(Path("runs").rglob("*"))
    assert console(arguments(*more)) == 2
    error = capsys.readouterr().err
    assert part in error
    assert "Traceback" not in error
    assert sorted(Path("runs").rglob("*")) == before


@pytest.mark.parametrize(("old", "new"), [("p0", "p9"), ("1.jpg,cat", "1.jpg,dog cat")])
def test_a_table_that_has_changed_since_is_told(old, new, capsys):
    text = Path("root/labels.csv").read_text()
    Path("root/labels.csv").write_text(text.replace(old, new, 1))
    try:
        assert console(arguments("--ckpt_path", "last")) == 2
    finally:
        Path("root/labels.csv").write_text(text)
    assert "the table has changed since" in " ".join(capsys.readouterr().err.split())


def test_a_config_that_starts_from_a_checkpoint_is_refused(tmp_path, capsys):
    (tmp_path / "from.yaml").write_text(f"ckpt_path: {WHOLE / 'fold_0' / 'checkpoints' / 'last.ckpt'}\n")
    assert console(arguments("--config", str(tmp_path / "from.yaml"))) == 2
    assert "may have been trained on the very fold" in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
@pytest.mark.parametrize("config", ["keypoints", "values", "multiclass"])
def test_every_task_is_cross_validated(config, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if config == "keypoints":
        write_points(Path("root"), [line.replace("7,7", ",7").replace(",,7", ",,") for line in POINTS])
    elif config == "values":
        write_values(Path("root"))
    else:
        write_multilabel(Path("root"), LINES, N)
    small = ["--data.root", "root", "--data.size", "32", "--data.batch_size", "2", "--model.pretrained", "false"]
    base = ["crossval", "--config", str(CONF / f"{config}.yaml"), *FLAGS, *small, "--run_name", "run"]
    assert console([*base, "--folds", "2", "--trainer.max_epochs", "1"]) == 0
    folder = Path("runs/run/crossval_0")
    found, table = read_out_of_fold(folder), rows(folder / "out_of_fold.csv")
    scores = {row["fold"]: row for row in rows(folder / "scores.csv")}
    assert found.rows.tolist() == list(range(len(table)))
    assert {row["fold"] for row in table} == {"0", "1"}
    pooled = {name: value for name, value in found.headline().items() if value == value}
    assert {name: float(scores["pooled"][name]) for name in pooled} == pytest.approx(pooled, rel=1e-6)
    assert (
        f"2 folds of {len(table)} rows; the other 2 are marked, or alone with a label, and in none"
        in capsys.readouterr().out
    )
    names = [str(path) for path in found.paths[:2]]
    members = [load(folder / f"fold_{i}" / "checkpoints" / "last.ckpt", "cpu")(names) for i in (0, 1)]
    wanted = np.mean([[one.cells()[1] for one in member] for member in members], axis=0)
    assert np.allclose([one.cells()[1] for one in load(folder, "cpu")(names)], wanted, rtol=1e-5, atol=1e-4)


def test_help_has_its_own_options_and_those_of_fit(capsys):
    with pytest.raises(SystemExit) as left:
        console(["crossval", "--help"])
    assert left.value.code == 0
    said = capsys.readouterr().out
    assert "--folds" in said
    assert "--trainer.max_epochs" in said
