"""A checkpoint is scored on the rows that it was not trained on, also where splits were drawn otherwise then."""

import shutil
import warnings
from pathlib import Path

import pandas as pd
import pytest
import torch
from pytorch_lightning import Trainer

from lightning_tasks import KeypointDataModule, MultiLabelClassifier, MultiLabelDataModule
from lightning_tasks.__main__ import console
from lightning_tasks.data.tables.splits import split_table
from lightning_tasks.deploy.exports.parity import training_data
from tests.fakes import FLAGS, write_multilabel
from tests.quick_runs import PLAIN, SMALL, fit
from tests.training.small_runs import CONF

RECORDED = Path(__file__).parents[1] / "recorded"
CPU = ("--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false", "--data.num_workers", "0")
N = 30
LINES = ["fname,labels", *(f"{i}.jpg,{'dog' if i % 5 else 'cat'}" for i in range(N))]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def by_lot(csv):
    """Return the file names of the validation rows that the earlier version drew."""
    table = pd.read_csv(csv)
    return table["fname"].iloc[split_table(table, str(csv))[1]].tolist()


def predicted(best, *more):
    assert console(["get_preds", *best, "--output", "preds.csv", *CPU, *more]) == 0
    return [Path(name).name for name in pd.read_csv("preds.csv")["fname"]]


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
@pytest.mark.parametrize(("variant", "made"), [("labels", MultiLabelDataModule), ("points", KeypointDataModule)])
def test_an_older_checkpoint_keeps_its_split_at_every_door(variant, made):
    for part in ("data", "runs"):
        shutil.copytree(RECORDED / part, part)
    csv, best = Path(f"data/{variant}.csv"), Path(f"runs/{variant}/version_0/checkpoints/best.ckpt")
    table = pd.read_csv(csv, keep_default_na=False).drop(columns=["is_valid", "group"])
    if variant == "points":
        table.loc[[2, 5, 7], ["r_x", "r_y"]] = ""
    table.to_csv(csv, index=False)
    wanted = by_lot(csv)
    assert predicted([str(best)]) == wanted
    from_python = made.load_from_checkpoint(best, weights_only=True)
    assert not from_python.stratify
    fresh = made("data", csv.name)
    for data in (from_python, training_data(best, None)):
        assert data.table["fname"].iloc[data.split[1]].tolist() == wanted
    assert fresh.table["fname"].iloc[fresh.split[1]].tolist() != wanted  # or this test would show nothing
    assert made.load_from_checkpoint(best, weights_only=True, stratify=True).stratify


def as_before(path):
    """Let a checkpoint be one of before splits were stratified."""
    content = torch.load(path, weights_only=True)
    del content["datamodule_hyper_parameters"]["stratify"]
    torch.save(content, path)


@pytest.mark.filterwarnings("always::lightning_tasks.errors.LightningTasksWarning")
def test_a_resumed_run_keeps_the_split_that_it_began_with(capsys):
    write_multilabel(Path("root"), LINES, N)
    wanted = by_lot("root/labels.csv")
    assert fit(*PLAIN, "--data.stratify", "false") == 0
    last = Path("runs/multi_label/version_0/checkpoints/last.ckpt")
    assert predicted([str(last)]) == wanted
    as_before(last)
    capsys.readouterr()
    assert fit(*PLAIN, "--ckpt_path", "last", epochs=2) == 0
    assert capsys.readouterr().err.count("split stays as the checkpoint's was drawn: data.stratify false.") == 1
    assert torch.load(last, weights_only=True)["datamodule_hyper_parameters"]["stratify"] is False
    assert fit(*PLAIN, "--ckpt_path", str(last), epochs=3) == 0
    assert "stratify: false" in Path("runs/multi_label/version_1/config.yaml").read_text()
    assert predicted(["runs/multi_label/version_1/checkpoints/last.ckpt"]) == wanted


@pytest.mark.filterwarnings("always::lightning_tasks.errors.LightningTasksWarning")
def test_a_stratified_split_is_found_again_and_one_that_a_config_describes_stays_too():
    write_multilabel(Path("root"), LINES, N)
    assert fit(*PLAIN) == 0
    last = Path("runs/multi_label/version_0/checkpoints/last.ckpt")
    data = MultiLabelDataModule.load_from_checkpoint(last, weights_only=True)
    names = data.table["fname"].iloc[data.split[1]].tolist()
    assert data.stratify
    assert predicted([str(last)]) == names != by_lot("root/labels.csv")
    content = torch.load(last, weights_only=True)
    for key in ("hyper_parameters", "datamodule_hyper_parameters"):  # as of a training from Python
        content[key] = {k: v for k, v in content[key].items() if not k.startswith("_")}
    del content["datamodule_hyper_parameters"]["stratify"]
    torch.save(content, "python.ckpt")
    given = ["--ckpt_path", "python.ckpt", "--config", str(CONF / "multilabel.yaml"), *SMALL, *FLAGS]
    assert predicted(given) == by_lot("root/labels.csv")
    assert predicted([*given, "--data.stratify", "true"]) == names


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_a_trainer_from_python_says_where_the_split_is_another():
    write_multilabel(Path("root"), LINES, N)
    data = MultiLabelDataModule("root", size=32, num_workers=0, cache="none", stratify=False)
    model = MultiLabelClassifier(["cat", "dog"], "test_resnet", image_size=(32, 32))
    trainer = Trainer(max_steps=1, logger=False, enable_progress_bar=False, accelerator="cpu", default_root_dir="run")
    trainer.fit(model, data)
    trainer.save_checkpoint("own.ckpt")
    as_before("own.ckpt")
    for stratify in (False, True):
        data = MultiLabelDataModule("root", size=32, num_workers=0, stratify=stratify)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            trainer.validate(model, data, ckpt_path="own.ckpt", weights_only=True)
        doubts = [one for one in told if "rows for validation (data.stratify was False and is True)" in str(one)]
        assert len(doubts) == stratify


@pytest.mark.filterwarnings("always::lightning_tasks.errors.LightningTasksWarning")
def test_every_verb_that_scores_says_where_the_checkpoint_was_trained_on_what_validates(labels_run, capsys):
    folder, ckpt = labels_run
    named = [str(folder / ckpt), "--data.root", str(folder / "root"), *CPU]
    for verb, *more in (
        ["validate"],
        ["get_preds"],
        ["show_results"],
        ["report", "--output", "r.html"],
        ["thresholds", "--output", "t.ckpt"],
    ):
        for fold, told in (("null", 0), ("1", 1)):
            console([verb, *named, *more, "--data.fold", fold])
            said = capsys.readouterr().err
            assert said.count("rows for validation (data.fold was None and is 1): their scores are too good") == told


@pytest.mark.filterwarnings("always::lightning_tasks.errors.LightningTasksWarning")
def test_a_training_that_starts_from_weights_which_have_seen_what_validates_says_so(labels_run, capsys):
    folder, ckpt = labels_run
    more = ["--data.root", str(folder / "root"), "--model.weights", str(folder / ckpt), "--data.size", "[32,40]"]
    for fold, told in (("null", 0), ("1", 1)):
        assert fit(*PLAIN, *more, "--data.fold", fold) == 0
        assert capsys.readouterr().err.count(f"{folder / ckpt} was trained on 1 of the 1 rows for validation") == told
