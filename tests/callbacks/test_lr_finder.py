import csv
import random
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import MeanMetric

from lightning_tasks import FineTune, LRFinder
from lightning_tasks.__main__ import console
from lightning_tasks.errors import ConfigError
from lightning_tasks.training.lr_suggest import slide, steep, suggest, valley
from tests.fakes import FLAGS, LABELS, POINTS, write_multilabel, write_points

CONF = Path(__file__).parents[2] / "conf"
LRS = np.geomspace(1e-6, 1, 85)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_worked_values_of_valley():
    assert valley(LRS, np.linspace(2, 1, 85)) == LRS[41]
    assert valley(LRS, np.linspace(1, 2, 85)) == LRS[0]


@given(st.lists(st.floats(0.1, 10), min_size=16, max_size=85))
def test_suggestions_are_rates_of_the_curve(losses):
    lrs, curve = LRS[: len(losses)], np.array(losses)
    assert all(f(lrs, curve) in lrs for f in (valley, slide, steep))


def test_the_ends_and_what_follows_a_nan_are_left_out():
    losses = np.linspace(2, 1, 100)
    losses[:10], losses[-5:] = -9, -9
    lrs = np.geomspace(1e-7, 8, 100)
    assert suggest(lrs, losses, 100).minimum == lrs[94] / 10
    losses[60:] = np.nan
    assert suggest(lrs, losses, 100).minimum == lrs[59] / 10


def test_a_curve_that_is_too_short_is_told():
    with pytest.raises(ConfigError, match=r"ran away at step 29 of 100"):
        suggest(LRS[:30], np.ones(30), 100)
    with pytest.raises(ConfigError, match=r"was NaN at step 16 of 100, at a rate of 8.7e-06"):
        suggest(np.geomspace(1e-7, 1e5, 100), np.where(np.arange(100) < 16, 1.0, np.nan), 100)


class Net(LightningModule):
    """Dropout, batch statistics, two groups and a metric of its own: all that a sweep could leave changed."""

    def __init__(self, lr="auto", fails_at=None, stops_with=RuntimeError):
        super().__init__()
        self.lr = lr
        self.backbone = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3))
        self.head = nn.Linear(8, 1)
        self.train_mean = MeanMetric()
        self.register_buffer("center", torch.zeros(1))
        self.fails_at, self.stops_with, self.steps = fails_at, stops_with, 0
        self.seen = []

    def training_step(self, batch, batch_idx):
        self.steps += 1
        if self.steps == self.fails_at:
            raise self.stops_with("stop")
        x, y = batch
        self.seen.append(x[:, 0].tolist())
        random.random(), np.random.rand()
        loss = nn.functional.mse_loss(self.head(self.backbone(x)), y)
        self.train_mean.update(loss)
        self.center = 0.9 * self.center + 0.1 * x.mean()  # another tensor each time
        self.log("train/loss", loss)
        return {"loss": loss}

    def validation_step(self, batch, batch_idx):
        self.log("val/loss", nn.functional.mse_loss(self(batch[0]), batch[1]))

    def forward(self, x):
        return self.head(self.backbone(x))

    def configure_optimizers(self):
        groups = [
            {"params": list(self.backbone.parameters()), "lr": self.lr / 10, "name": "early", "max_lr": self.lr / 10},
            {"params": list(self.head.parameters()), "lr": self.lr, "name": "head", "max_lr": self.lr},
        ]
        optimizer = torch.optim.AdamW(groups)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, [g["lr"] for g in groups], total_steps=steps)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]


def fit(model, *callbacks, max_epochs=2, workers=0, generator=None, fast_dev_run=False):
    torch.manual_seed(0)
    x = torch.randn(24, 4)
    loader = DataLoader(
        TensorDataset(x, x.sum(1, keepdim=True)), 4, shuffle=True, num_workers=workers, persistent_workers=workers > 0,
        generator=generator,
    )  # fmt: skip
    trainer = Trainer(
        callbacks=list(callbacks), max_epochs=max_epochs, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
        fast_dev_run=fast_dev_run,
    )  # fmt: skip
    trainer.fit(model, loader, DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), 4))
    return trainer


def everything(model):
    """Weights, buffers, training flags and all three random states."""
    numbers = np.random.get_state()[1].tolist()
    return (
        [t.clone() for t in (*model.parameters(), *model.buffers())],
        [(p.requires_grad, p.grad) for p in model.parameters()],
        (torch.get_rng_state().tolist(), numbers, random.getstate()),
    )


def same(first, second):
    return (
        all(torch.equal(a, b) for a, b in zip(first[0], second[0], strict=True)) and first[1:] == second[1:]
    )  # fmt: skip


class State(Callback):
    """What there was at the start of the first epoch, when this callback's turn came, or after an error."""

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 0:
            self.state = everything(pl_module)
            self.optimizer = trainer.optimizers[0].state_dict()
            self.gathered = float(pl_module.train_mean.weight)

    def on_exception(self, trainer, pl_module, exception):
        self.on_train_epoch_start(trainer, pl_module)


@pytest.mark.parametrize(("workers", "own_generator"), [(0, False), (2, False), (0, True)])
def test_the_sweep_leaves_everything_as_it_was(workers, own_generator):
    def generator():
        return torch.Generator().manual_seed(1) if own_generator else None

    torch.manual_seed(3)
    model, before, after = Net(lr=0.5), State(), State()
    finder = LRFinder(steps=30, max_lr=1.0)
    fit(model, before, finder, after, workers=workers, generator=generator())
    assert same(before.state, after.state)
    assert after.gathered == 0
    assert len(finder.sweep.lrs) == 30  # two epochs have twelve batches
    swept, seen = model.seen[:30], model.seen[30:]
    torch.manual_seed(3)
    plain = Net(lr=finder.lr)
    fit(plain, workers=workers, generator=generator())
    assert plain.seen == seen  # the loader's order is that of a run without a sweep
    assert {tuple(batch) for batch in swept} != {tuple(batch) for batch in seen}
    for name, value in model.state_dict().items():
        assert torch.equal(value, plain.state_dict()[name]), name


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_after_an_error_or_ctrl_c_everything_is_as_it_was(error):
    model, after = Net(lr=0.5, fails_at=7, stops_with=error), State()

    class Before(State):
        on_exception = Callback.on_exception

    before = Before()
    with pytest.raises(SystemExit if error is KeyboardInterrupt else error):
        fit(model, before, LRFinder(steps=30), after)
    assert same(before.state, after.state)
    assert before.optimizer == after.optimizer
    assert "log" not in vars(model)


def test_the_rate_scales_the_groups_and_rebuilds_the_schedule():
    class Rates(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            self.first = getattr(self, "first", None) or [g["lr"] for g in trainer.optimizers[0].param_groups]
            self.highest = [g["max_lr"] for g in trainer.optimizers[0].param_groups]

    rates, finder, model = Rates(), LRFinder(steps=40, method="minimum"), Net()
    fit(model, rates, finder)
    assert finder.lr == finder.suggestions.minimum == model.lr
    assert rates.highest == pytest.approx([finder.lr / 10, finder.lr])
    assert rates.first == pytest.approx([finder.lr / 250, finder.lr / 25])  # OneCycleLR's own start, from the new rate


def test_the_verb_trains_nothing_and_ignores_the_length_of_the_run():
    model = Net()
    before = [p.clone() for p in model.parameters()]
    finder = LRFinder(steps=50, only=True)
    trainer = fit(model, finder, max_epochs=1)
    assert len(finder.sweep.lrs) == 50
    assert trainer.global_step == 0
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert "val/loss" not in trainer.callback_metrics


@pytest.mark.parametrize("error", [None, RuntimeError])
def test_auto_stays_auto_and_nothing_frozen_where_no_rate_was_taken(error):
    model = Net(fails_at=7 if error else None, stops_with=error)
    frozen = FineTune(epochs=1, freeze_epochs=1)
    if error:
        with pytest.raises(error):
            fit(model, LRFinder(steps=30), frozen)
    else:
        fit(model, LRFinder(steps=30, only=True), frozen)
    assert model.lr == "auto"
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_finder_sweeps_for_each_fit():
    finder, second = LRFinder(steps=30), Net()
    fit(Net(), finder)
    first = finder.lr
    with torch.no_grad():
        second.head.weight *= 50
    fit(second, finder)
    assert second.lr == finder.lr != first


def test_a_trial_sweeps_nothing_and_leaves_nothing(folder):
    finder = LRFinder()
    fit(Net(), finder, fast_dev_run=True)
    assert finder.sweep is None
    assert not list(folder.iterdir())


class Diverging(Net):
    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)["loss"]
        return loss * (1.0 if self.steps < 12 else torch.nan)


def test_a_curve_that_suggests_nothing_is_drawn_all_the_same(folder):
    with pytest.raises(ConfigError, match="was NaN at step 11 of 40"):
        fit(Diverging(lr=0.1), LRFinder(steps=40))
    assert {path.name for path in folder.iterdir()} == {"lr_find.csv", "lr_find.png"}


def test_manual_optimisation_is_refused():
    model = Net(lr=0.1)
    model.automatic_optimization = False
    with pytest.raises(ConfigError, match="not for manual optimisation"):
        fit(model, LRFinder(steps=30))


def test_a_rate_for_nobody_is_told():
    with pytest.raises(ConfigError, match="FineTune's base_lr is given"):
        fit(Net(lr=0.1), FineTune(epochs=1, base_lr=1e-3), LRFinder())


def cli(verb, task, *more):
    config = {"labels": "multilabel.yaml", "points": "keypoints.yaml"}[task]
    write_multilabel(Path("labels"), LABELS)
    write_points(Path("points"), POINTS)
    small = ["--data.root", task, "--data.size", "32", "--data.batch_size", "3", "--model.pretrained", "false"]
    return console([verb, "--config", str(CONF / config), *FLAGS, *small, *more])


@pytest.mark.parametrize("task", ["labels", "points"])
def test_the_verb_prints_suggestions_and_leaves_curve_and_plot(task, capsys):
    assert cli("lr_find", task, "--steps", "40") == 0
    printed = capsys.readouterr().out
    found = re.search(r"valley (\S+)  slide (\S+)  minimum (\S+)  steep (\S+)", printed)
    assert all(1e-8 < float(lr) < 10 for lr in found.groups()), found  # `minimum` is a tenth of a rate
    run = Path("runs") / {"labels": "multi_label", "points": "keypoint"}[task] / "lr_find_0"
    with (run / "lr_find.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["lr", "loss", "smoothed_loss"]
    assert float(rows[1]["lr"]) / float(rows[0]["lr"]) == pytest.approx(10 ** (8 / 40))
    assert (run / "lr_find.png").stat().st_size > 5000
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run)).Reload()
    assert events.Tags()["images"] == ["lr_find"]
    assert "lr_find/text_summary" in events.Tags()["tensors"]
    assert not list(run.glob("checkpoints/*"))


def test_auto_finds_the_rate_and_the_checkpoint_says_it(capsys):
    more = ["--model.lr", "auto", "--trainer.max_epochs", "1"]
    finder = ["--trainer.callbacks+=LRFinder", "--trainer.callbacks.steps=40"]
    assert cli("fit", "labels", *more, *finder) == 0
    printed = capsys.readouterr().out
    lr = float(re.search(r"learning rate +(\S+) \(valley\)", printed)[1])
    last = torch.load("runs/multi_label/version_0/checkpoints/last.ckpt", weights_only=True)
    assert last["hyper_parameters"]["lr"] == pytest.approx(lr, rel=1e-2)
    head = next(g for g in last["optimizer_states"][0]["param_groups"] if g["name"] == "head")
    early = next(g for g in last["optimizer_states"][0]["param_groups"] if g["name"] == "early")
    assert head["max_lr"] == last["hyper_parameters"]["lr"] == pytest.approx(10 * early["max_lr"])


def test_auto_without_a_finder_is_told():
    from lightning_tasks import KeypointRegressor

    model = KeypointRegressor(["a"], "test_resnet", image_size=(32, 32), lr="auto")
    with pytest.raises(ConfigError, match=r"model\.lr is auto.*LRFinder"):
        model.configure_optimizers()


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("--min_lr", "0", "must rise from above 0"),
        ("--max_lr", "1e-9", "must rise from above 0"),
        ("--steps", "22", "steps are 22; it needs at least 23"),
    ],
)
def test_bounds_that_cannot_be_are_told(flag, value, message, capsys):
    assert cli("lr_find", "labels", flag, value) == 2
    assert message in capsys.readouterr().err
