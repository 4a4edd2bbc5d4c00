"""What TensorBoard is given, read back from the events of tiny runs."""

import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from lightning_tasks import MultiLabelClassifier, MultiLabelDataModule
from lightning_tasks.__main__ import console
from lightning_tasks.callbacks.tensorboard import BatchFigure, plain_settings
from lightning_tasks.tasks.multilabel.task import MultiLabel
from tests.callbacks import Stopped
from tests.fakes import FLAGS, write_multilabel, write_points

CONF = Path(__file__).parents[2] / "conf"
LABELS = ["fname,labels,is_valid", *(f"{i}.jpg,{'cat' if i % 2 else 'dog'},{i >= 6}" for i in range(9))]
POINTS = ["fname,is_valid,l_x,l_y", *(f"{i}.jpg,{i >= 6},5,6" for i in range(9))]
PLAN = {"class_path": "FineTune", "init_args": {"epochs": 1, "freeze_epochs": 1}}  # of three steps each
CYCLE = {"class_path": "OneCycle"}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_multilabel(Path("labels"), LABELS, 9)
    write_points(Path("points"), POINTS, 9)
    return tmp_path


def fit(task, *more, callbacks=(PLAN,)):
    config = {"labels": "multilabel.yaml", "points": "keypoints.yaml"}[task]
    settings = {"trainer": {"callbacks": list(callbacks), "max_epochs": 2, "log_every_n_steps": 1}}
    Path("own.yaml").write_text(yaml.safe_dump(settings))
    small = ["--data.root", task, "--data.size", "32", "--data.batch_size", "2", "--model.pretrained", "false"]
    both = ["--config", str(CONF / config), "--config", "own.yaml"]
    return console(["fit", *both, *FLAGS, *small, "--run_name", "run", *more])


def events():
    found = EventAccumulator("runs/run/version_0", size_guidance={"images": 0, "scalars": 0})
    return found.Reload()


def steps(found, tag):
    return [event.step for event in found.Images(tag)]


def test_a_training_of_labels_shows_its_pages_which_it_does_not_draw_itself(monkeypatch):
    draw = MultiLabel.draw_batch

    def noted(*given):
        Path("drawn_by").write_text(str(os.getpid()))
        return draw(*given)

    monkeypatch.setattr(MultiLabel, "draw_batch", noted)
    assert fit("labels") == 0
    assert int(Path("drawn_by").read_text()) != os.getpid()
    found = events()
    assert set(found.Tags()["images"]) == {"show_batch", "results", "threshold_curve"}
    assert steps(found, "show_batch") == [0]
    validations = [event.step for event in found.Scalars("val/mAP")]
    assert steps(found, "results") == steps(found, "threshold_curve") == validations == [2, 5]
    by_group = {f"{name}/{group}" for name in ("lr", "momentum") for group in ("early", "late", "head")}
    assert by_group | {"train/loss_step", "val/loss"} <= set(found.Tags()["scalars"])
    (text,) = found.Tensors("fine_tune/text_summary")
    frozen, unfrozen = text.tensor_proto.string_val[0].decode().splitlines()[2:]
    assert frozen.startswith("| frozen | 0–0 | 0–2 | head, normalisation | ")
    assert unfrozen.startswith("| unfrozen | 1–1 | 3–5 | everything | 1.49e-05 | 1.49e-04 | 1.49e-03 | ")


def test_settings_stand_beside_the_scalars_that_were_measured():
    assert fit("labels", "--model.lr", "0.002") == 0
    found = events()

    def content(tag):
        data = HParamsPluginData.FromString(found.SummaryMetadata(f"_hparams_/{tag}").plugin_data.content)
        return getattr(data, tag)

    settings = content("session_start_info").hparams
    assert settings["lr"].number_value == 0.002
    assert settings["backbone"].string_value == "test_resnet"
    assert settings["data/batch_size"].number_value == settings["max_epochs"].number_value == 2
    assert "vocab" not in settings
    metrics = {info.name.tag for info in content("experiment").metric_infos}
    assert metrics == {"val/loss", "val/accuracy", "val/accuracy_all_negative", "val/mAP"}
    for metric in metrics:
        assert [event.step for event in found.Scalars(metric)] == [2, 5]  # and none that nobody measured


def test_a_training_of_points_shows_its_own():
    assert fit("points", callbacks=[CYCLE]) == 0
    found = events()
    assert set(found.Tags()["images"]) == {"show_batch", "results"}
    (text,) = found.Tensors("one_cycle/text_summary")
    assert (
        "| one cycle | 0–1 | 0–5 | everything | 9.70e-04 | 3.07e-03 | 9.70e-03 |"
        in text.tensor_proto.string_val[0].decode()
    )


def test_a_run_that_goes_on_shows_everything_once():
    stopper = {"class_path": "tests.callbacks.Stopper", "init_args": {"step": 4}}
    with pytest.raises(Stopped):
        fit("labels", "--last.every_n_steps", "1", callbacks=[PLAN, stopper])
    assert fit("labels", "--ckpt_path", "last") == 0
    found = events()
    assert steps(found, "show_batch") == [0]
    assert steps(found, "results") == steps(found, "threshold_curve") == [2, 5]
    assert len(found.Tensors("fine_tune/text_summary")) == 1


def test_a_trial_leaves_nothing():
    before = {path.name for path in Path().iterdir()}
    assert fit("points", "--trainer.fast_dev_run", "1") == 0
    assert {path.name for path in Path().iterdir()} - before == {"own.yaml"}


def test_without_validation_there_is_nothing_to_compare():
    assert fit("labels", "--trainer.limit_val_batches", "0", "--checkpoint.monitor", "null") == 0
    assert events().Tags()["images"] == ["show_batch"]
    assert not Path("runs/run/version_0/results.png").exists()


class Writer:
    def __init__(self):
        self.tags = []

    def add_figure(self, tag, figure, step):
        self.tags.append(tag)


class Fit:
    """As much of a Trainer as BatchFigure asks for."""

    global_step = 0


def test_looking_at_a_batch_draws_no_number(monkeypatch):
    data = MultiLabelDataModule("labels", size=32, batch_size=2, num_workers=0)
    model = MultiLabelClassifier(data.vocab, "test_resnet", image_size=data.image_size)
    writer, trainer = Writer(), Fit()
    trainer.datamodule = data
    monkeypatch.setattr("lightning_tasks.callbacks.tensorboard.tensorboard_writer", lambda trainer: writer)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    BatchFigure().on_train_start(trainer, model)
    assert writer.tags == ["show_batch"]
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
    assert random.getstate() == before[2]


def test_settings_are_plain():
    hparams = {"lr": 0.1, "size": (1, 2), "vocab": ["a"], "_class_path": "x", "fold": None, "flip": True}
    assert plain_settings(hparams) == {"lr": 0.1, "size": "(1, 2)", "flip": True}
