"""A run's files lie in its own folder, whatever its loggers and checkpoints; nothing else is written over."""

import csv
import shutil
from pathlib import Path

import pytest
import torch

from lightning_tasks.__main__ import console
from lightning_tasks.reports.run_info import folder_of_run
from tests.fakes import LABELS, write_multilabel
from tests.quick_runs import PLAIN, fit, scores, settings, written

MINE = "my: own\n"  # a user's file of the name that a run's own has


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_multilabel(Path("root"), LABELS)
    for name in ("config.yaml", "results.png", "metrics.csv"):
        Path(name).write_text(MINE)
    return tmp_path


OURS = {"config.yaml", "hparams.yaml", "metrics.csv", "results.png", "checkpoints/best.ckpt", "checkpoints/last.ckpt"}
OWN = "tests.own_classes.OwnLogger"
CSV = {"class_path": "CSVLogger", "init_args": {"save_dir": "logs"}}


@pytest.mark.parametrize(
    ("logger", "theirs"),
    [
        (False, set()),
        ({"class_path": OWN}, set()),
        (CSV, {"logs"}),
        ({"class_path": "TensorBoardLogger", "init_args": {"save_dir": "boards"}}, {"boards"}),
        ([{"class_path": OWN}, CSV], {"logs"}),
    ],
)
def test_a_runs_files_lie_in_its_folder_whatever_the_loggers(logger, theirs):
    own = settings(logger=logger)
    before = {path.name for path in Path().iterdir()}
    assert fit(*own) == 0
    run = Path("runs/multi_label/version_0")
    assert written(run) == OURS
    with (run / "metrics.csv").open() as file:
        assert [row for row in csv.DictReader(file) if row["val/loss"]]
    assert all(Path(name).read_text() == MINE for name in ("config.yaml", "results.png", "metrics.csv"))
    assert {path.name for path in Path().iterdir()} - before == {"runs", *theirs}


def test_a_users_own_loggers_get_what_is_logged_and_come_first(monkeypatch):
    from tests.own_classes import OwnLogger

    made = []
    monkeypatch.setattr(OwnLogger, "__init__", lambda self: (made.append(self), setattr(self, "logged", 0))[0])
    seen = []
    monkeypatch.setattr("lightning_tasks.callbacks.epoch_table.StartLine.on_train_start",
                        lambda self, trainer, module: seen.append((module.logger, trainer.log_dir)))  # fmt: skip
    assert fit("--trainer.logger", OWN) == 0
    assert made[0].logged
    assert seen == [(made[0], "runs/multi_label/version_0")]


NAMES = [
    ("m-{epoch}-{val/mAP:.2f}", "true", "m-epoch=0-val_mAP=1.00.ckpt"),
    ("{train/loss}", "true", None),
    ("m{val/mAP:.1f}", "false", "m1.0.ckpt"),
]


@pytest.mark.parametrize(("template", "inserts", "name"), NAMES)
def test_a_metrics_name_in_a_checkpoints_makes_no_folder(template, inserts, name, monkeypatch, capsys):
    monkeypatch.setattr("lightning_tasks.tasks.multilabel.classifier.MultiLabelClassifier.validation_step", scores_one)
    assert fit("--checkpoint.filename", template, "--checkpoint.auto_insert_metric_name", inserts) == 0
    checkpoints = Path("runs/multi_label/version_0/checkpoints")
    (best,) = (path for path in checkpoints.iterdir() if path.name != "last.ckpt")
    assert best.is_file()
    assert name is None or best.name == name
    assert f"best checkpoint  {best}" in capsys.readouterr().out
    assert console(["report", str(best), "--data.num_workers", "0"]) == 0
    assert "val/loss" in Path("runs/multi_label/version_0/report.html").read_text()


def scores_one(self, batch, batch_idx=0):
    self.log("val/mAP", 1.0)
    self.log("val/loss", 0.5)
    return self(batch.images)


def own_checkpoints(**values):
    return settings(callbacks=[{"class_path": "ModelCheckpoint", "init_args": values}])


def test_a_users_own_checkpoints_lie_there_too():
    more = own_checkpoints(filename="e{epoch}-{val/loss:.1f}", monitor="val/loss", every_n_epochs=1)
    assert fit("--trainer.logger", OWN, *more) == 0
    names = {path.name for path in Path("runs/multi_label/version_0/checkpoints").iterdir()}
    assert {"best.ckpt", "last.ckpt"} < names
    assert any(name.startswith("e0-val_loss=0.") or name.startswith("eepoch=0-val_loss=0.") for name in names)
    assert not Path("voc").exists()


REFUSED = [
    ({"save_last": True}, "checkpoints/last.ckpt"),
    ({"filename": "last"}, "checkpoints/last.ckpt"),
    ({"filename": "sub/../last"}, "checkpoints/last.ckpt"),
    ({"filename": "best"}, "write over each other's best.ckpt"),
    ({"filename": "../../../../metrics"}, "leads out of its folder"),
    ({"filename": "/metrics", "dirpath": "kept"}, "leads out of its folder"),
    ({"filename": "own", "monitor": "val/mAP", "mode": "max"}, "Two ModelCheckpoints are alike"),
]


@pytest.mark.parametrize(("values", "told"), REFUSED)
def test_checkpoints_that_would_lie_on_others_are_refused_and_leave_nothing(values, told, capsys):
    before = written(".")
    assert fit(*own_checkpoints(**{"monitor": "val/loss", **values})) == 2
    assert told in capsys.readouterr().err
    assert written(".") - before == {"own.yaml"}
    assert not list(Path("runs/multi_label").iterdir())


@pytest.mark.parametrize("name", ["../../../../config.yaml", "/best"])
def test_so_is_the_runs_own(name, capsys):
    assert fit("--checkpoint.filename", name) == 2
    assert "leads out of its folder" in capsys.readouterr().err


def test_a_loggers_folders_beside_the_runs_are_no_runs_to_go_on_with(capsys):
    logger = settings(logger={"class_path": "CSVLogger", "init_args": {"save_dir": "runs", "name": "multi_label"}})
    assert fit(*PLAIN, *logger) == 0
    assert Path("runs/multi_label/version_1/metrics.csv").is_file()
    assert fit(*PLAIN, *logger, "--ckpt_path", "last", epochs=2) == 0
    assert "resuming from    runs/multi_label/version_0/checkpoints/last.ckpt" in capsys.readouterr().out


def test_a_folder_for_checkpoints_that_is_given_is_kept_and_so_is_what_lies_there(capsys):
    Path("kept").mkdir()
    Path("kept/best.ckpt").write_text(MINE)
    for _ in range(2):
        assert fit("--checkpoint.dirpath", "kept") == 0
    assert Path("kept/best.ckpt").read_text() == MINE
    assert written("kept") == {"best.ckpt", "best-v1.ckpt", "best-v2.ckpt"}
    assert written("runs/multi_label/version_1") == OURS - {"checkpoints/best.ckpt"} | events("version_1")
    assert "best checkpoint  kept/best-v2.ckpt" in capsys.readouterr().out
    for name, version in (("best-v1", "version_0"), ("best-v2", "version_1")):
        assert console(["report", f"kept/{name}.ckpt", "--data.num_workers", "0"]) == 0
        assert "val/loss" in Path(f"runs/multi_label/{version}/report.html").read_text()
    shutil.rmtree("runs/multi_label/version_0")
    shutil.move("runs/multi_label/version_1", "runs/multi_label/version_0")  # another run took its place
    assert console(["report", "kept/best-v1.ckpt", "--data.num_workers", "0"]) == 0
    assert Path("kept/report.html").exists()


def events(version):
    run = Path("runs/multi_label") / version
    return {path.name for path in run.iterdir() if path.name.startswith(("events", "hparams"))}


def test_a_checkpoint_of_any_place_in_a_run_finds_its_folder(tmp_path):
    run = tmp_path / "checkpoints" / "version_0"
    (run / "checkpoints" / "sub").mkdir(parents=True)
    (run / "config.yaml").touch()
    for name in ("a.ckpt", "checkpoints/a.ckpt", "checkpoints/sub/a.ckpt"):
        assert folder_of_run(run / name) == run
    assert folder_of_run(tmp_path / "elsewhere" / "a.ckpt") == tmp_path / "elsewhere"


# The best so far of a resumed run ----------------------------------------------------------------------------------


LOGGER = ["--trainer.logger", "CSVLogger", "--trainer.logger.save_dir", "logs"]


@pytest.mark.parametrize("logger", [LOGGER, ["--trainer.logger", "false"], []])
def test_a_run_that_goes_on_knows_its_best(logger, monkeypatch, capsys):
    scores(monkeypatch, 0.9, 0.6)
    assert fit(*PLAIN, *logger) == 0
    assert fit(*PLAIN, *logger, "--ckpt_path", "last", epochs=2) == 0
    out = capsys.readouterr().out
    assert out.rpartition("best checkpoint")[2].splitlines()[0].split() == [
        "runs/multi_label/version_0/checkpoints/best.ckpt", "(val/mAP", "0.9000)"]  # fmt: skip
    assert torch.load("runs/multi_label/version_0/checkpoints/best.ckpt", weights_only=True)["epoch"] == 0


@pytest.mark.parametrize("moved", ["moved", "seen from elsewhere"])
def test_it_knows_its_best_where_its_folder_was_moved(moved, monkeypatch, capsys):
    scores(monkeypatch, 0.9, 0.6)
    assert fit(*PLAIN) == 0
    if moved == "moved":
        shutil.move("runs", "others")
        runs = "others"
    else:
        runs = str(Path("runs").absolute())
    assert fit(*PLAIN, "--runs_dir", runs, "--ckpt_path", "last", epochs=2) == 0
    assert "(val/mAP 0.9000)" in capsys.readouterr().out.rpartition("best checkpoint")[2]


def test_a_new_run_from_anothers_checkpoint_says_where_the_best_is(monkeypatch, capsys):
    scores(monkeypatch, 0.9, 0.6)
    assert fit(*PLAIN) == 0
    assert fit(*PLAIN, "--ckpt_path", "runs/multi_label/version_0/checkpoints/last.ckpt", epochs=2) == 0
    out = capsys.readouterr().out
    assert "best so far      val/mAP 0.9000 in " in out
    assert "runs/multi_label/version_0/checkpoints/best.ckpt; from here on it is counted anew" in out
    assert "version_1/checkpoints/best.ckpt  (val/mAP 0.6000)" in out


# Messages of Lightning's ---------------------------------------------------------------------------------------------


def test_what_a_user_asks_lightning_to_say_is_said(monkeypatch, caplog, capfd):
    scores(monkeypatch, 0.9)
    assert fit(*PLAIN, "--checkpoint.verbose", "true") == 0
    said = "".join(capfd.readouterr()) + caplog.text
    assert "'val/mAP' reached 0.90000" in said
    assert not [word for word in ("Tip", "GPU available", "`Trainer.fit` stopped") if word in said]


def test_callbacks_that_a_run_goes_on_without_are_named(monkeypatch, capsys, recwarn):
    scores(monkeypatch, 0.9, 0.6)
    stopping = {"class_path": "EarlyStopping", "init_args": {"monitor": "val/loss"}}
    assert fit(*settings(callbacks=[stopping]), "--model.lr", "0.001") == 0
    assert fit(*PLAIN, "--ckpt_path", "last", epochs=2) == 0
    assert (
        any("EarlyStopping" in str(warning.message) for warning in recwarn)
        or "EarlyStopping" in capsys.readouterr().err
    )
