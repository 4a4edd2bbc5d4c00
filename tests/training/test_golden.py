"""Ours held to fastai's own values; `scripts/fastai_golden.py` wrote them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_tasks import FineTune, LRFinder, OneCycle
from lightning_tasks.data.transforms.compose import scale_points
from lightning_tasks.errors import ConfigError
from lightning_tasks.models.heads import fastai_head, sigmoid_range
from lightning_tasks.training.lr_suggest import minimum, slide, steep, valley
from lightning_tasks.training.lr_sweep import SmoothedLoss
from lightning_tasks.training.schedule import fine_tune, one_cycle

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "fastai.json").read_text())
SETTINGS = GOLDEN["settings"]
STEPS = len(GOLDEN["one_cycle"]["lrs"])


def test_one_cycle_is_fastais():
    for step, (lrs, momentum) in enumerate(
        zip(GOLDEN["one_cycle"]["lrs"], GOLDEN["one_cycle"]["momentums"], strict=True)
    ):
        rate = one_cycle(step / STEPS)
        assert [rate.lr_factor * SETTINGS["base_lr"]] * 3 == pytest.approx(lrs, rel=0, abs=1e-9)
        assert rate.momentum == pytest.approx(momentum, rel=0, abs=1e-7)  # fastai lays the cycle out in float32


def test_fine_tune_is_fastais():
    golden = GOLDEN["fine_tune"]
    total = len(golden["lrs"])
    frozen = total * SETTINGS["freeze_epochs"] // (SETTINGS["freeze_epochs"] + SETTINGS["epochs"])
    for step, (lrs, momentum) in enumerate(zip(golden["lrs"], golden["momentums"], strict=True)):
        position = step / frozen if step < frozen else (step - frozen) / (total - frozen)
        rates = fine_tune(step < frozen, position, base_lr=SETTINGS["base_lr"])
        assert list(rates.lrs) == pytest.approx(lrs, rel=0, abs=1e-9)
        assert rates.momentum == pytest.approx(momentum, rel=0, abs=1e-7)  # fastai lays the cycle out in float32


class Tiny(LightningModule):
    """The script's model, with its two body groups as backbone."""

    def __init__(self):
        super().__init__()
        self.lr = SETTINGS["base_lr"]
        early = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, bias=False), nn.BatchNorm2d(4), nn.ReLU())
        late = nn.Sequential(nn.Conv2d(4, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU())
        self.backbone = nn.Sequential(early, late)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3))
        self.losses = []
        self.model = nn.Sequential(early, late, self.head)  # the names of the script's state dict
        self.model.load_state_dict({key: torch.tensor(value) for key, value in GOLDEN["initial"].items()})

    def training_step(self, batch):
        images, targets = batch
        loss = nn.functional.cross_entropy(self.model(images), targets)
        self.losses.append(loss.item())
        return loss

    def configure_optimizers(self):
        groups = []
        for name, module in zip(("early", "late", "head"), self.model, strict=True):
            for decays, suffix in ((True, ""), (False, "_no_decay")):
                chosen = [p for p in module.parameters() if (p.ndim > 1) == decays]
                groups.append(
                    {
                        "params": chosen,
                        "name": name + suffix,
                        "weight_decay": 0.01 * decays,
                        "max_lr": SETTINGS["base_lr"],
                    }
                )
        return torch.optim.AdamW(groups, lr=1.0, betas=(0.9, 0.99), eps=1e-5)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def train(callback, max_epochs, *more, max_steps=-1, model=None):
    model = model or Tiny()
    data = TensorDataset(torch.tensor(GOLDEN["images"]), torch.tensor(GOLDEN["targets"]))
    trainer = Trainer(
        callbacks=[callback, *more],
        max_epochs=max_epochs,
        max_steps=max_steps,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, DataLoader(data, SETTINGS["batch"]))
    return model


@pytest.mark.parametrize("method", ["one_cycle", "fine_tune"])
def test_the_trained_weights_are_fastais(method):
    golden = GOLDEN[method]
    if method == "one_cycle":
        model = train(OneCycle(), SETTINGS["epochs"])
    else:
        plan = FineTune(epochs=SETTINGS["epochs"], freeze_epochs=SETTINGS["freeze_epochs"])
        model = train(plan, SETTINGS["epochs"] + SETTINGS["freeze_epochs"])
    assert model.losses == pytest.approx(golden["losses"], abs=1e-5)
    for key, value in model.model.state_dict().items():
        torch.testing.assert_close(value, torch.tensor(golden["final"][key]), rtol=0, atol=1e-5, msg=key)
    moved = [p - torch.tensor(GOLDEN["initial"][name]) for name, p in model.model.named_parameters()]
    assert max(change.abs().max() for change in moved) > 1e-2  # or the comparison would mean little


@pytest.mark.parametrize("method", ["one_cycle", "fine_tune"])
def test_smoothed_losses_are_fastais(method):
    fits = [SETTINGS["freeze_epochs"], SETTINGS["epochs"]] if method == "fine_tune" else [SETTINGS["epochs"]]
    losses, ours = iter(GOLDEN[method]["losses"]), []
    for epochs in fits:  # fastai begins anew with each
        smoothed = SmoothedLoss()
        ours += [smoothed.update(next(losses)) for _ in range(5 * epochs)]
    assert ours == pytest.approx(GOLDEN[method]["smoothed"], abs=1e-5)  # fastai's are float32


@pytest.mark.parametrize("state", ["unfrozen", "frozen", "running_away"])
def test_the_finders_curve_and_suggestions_are_fastais(state):
    golden = GOLDEN["sweep"][state]
    finder = LRFinder(max_lr=golden["max_lr"], steps=golden["steps"], only=True)
    stages = [FineTune(epochs=1, freeze_epochs=1)] if state == "frozen" else []
    train(finder, 2, *stages)
    assert finder.sweep.lrs == pytest.approx(golden["lrs"], rel=1e-12)
    calm = sum(lr < 1 for lr in golden["lrs"])  # beyond, each step enlarges the last digits of the one before
    assert finder.sweep.smoothed[:calm] == pytest.approx(golden["smoothed"][:calm], abs=1e-5)
    assert finder.sweep.smoothed == pytest.approx(golden["smoothed"], rel=1e-2)
    assert finder.suggestions._asdict() == pytest.approx(golden["suggestions"], rel=1e-6)
    stopped = len(golden["lrs"]) < golden["steps"]
    assert stopped == (state == "running_away")


@pytest.mark.parametrize("curve", GOLDEN["curves"], ids=lambda curve: f"{len(curve['lrs'])} points")
def test_suggestions_for_curves_of_many_shapes_are_fastais(curve):
    lrs, losses = np.array(curve["lrs"]), np.array(curve["losses"])
    ours = {f.__name__: f(lrs, losses) for f in (valley, slide, minimum, steep)}
    assert ours == pytest.approx(curve["suggestions"], rel=1e-6)


def test_points_are_scaled_as_fastai_does():
    golden = GOLDEN["point_scaling"]
    points_px, points_norm = np.array(golden["points_px"]), np.array(golden["points_norm"])
    assert scale_points(points_px, golden["size"]) == pytest.approx(points_norm, abs=1e-7)


class Watch(Callback):
    """Keep, for each step, which of the body's parameters are trained."""

    def __init__(self):
        self.trained, self.statistics = [], []

    def on_train_batch_end(self, trainer, pl_module, *args):
        self.trained.append({n for n, p in pl_module.backbone.named_parameters() if p.requires_grad})
        self.statistics.append(pl_module.backbone[0][1].running_mean.clone())


def test_normalisation_layers_train_in_the_frozen_stage_or_not():
    norms = {"0.1.weight", "0.1.bias", "1.1.weight", "1.1.bias"}
    everything = norms | {"0.0.weight", "1.0.weight"}
    watch = Watch()
    train(FineTune(epochs=1, freeze_epochs=1), 2, watch)
    assert watch.trained == [norms] * 5 + [everything] * 5
    assert (watch.statistics[0] != watch.statistics[1]).any()
    watch = Watch()
    train(FineTune(epochs=1, freeze_epochs=1, freeze_norm=True), 2, watch)
    assert watch.trained == [set()] * 5 + [everything] * 5
    assert torch.equal(watch.statistics[0], watch.statistics[4])
    assert (watch.statistics[4] != watch.statistics[5]).any()


def test_given_epochs_leave_the_rest_to_the_unfrozen_stage():
    watch = Watch()
    train(FineTune(epochs=9, freeze_epochs=1), 3, watch)
    assert [len(names) for names in watch.trained] == [4] * 5 + [6] * 10
    watch = Watch()
    train(FineTune(epochs=9, freeze_epochs=4), 2, watch)
    assert [len(names) for names in watch.trained] == [4] * 10


def test_the_frozen_stage_is_as_long_whatever_the_limit_of_steps():
    watch = Watch()
    train(FineTune(epochs=3, freeze_epochs=2), 5, watch, max_steps=13)
    assert [len(names) for names in watch.trained] == [4] * 10 + [6] * 3


def test_groups_without_names_are_told_and_one_cycle_takes_any_optimiser():
    class Momentum(Tiny):
        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.5)

    class Seen(Callback):
        def on_train_batch_end(self, trainer, *args):
            (group,) = trainer.optimizers[0].param_groups
            self.last = group["lr"], group["momentum"]

    with pytest.raises(ConfigError, match="group 0 of SGD is not"):
        train(FineTune(epochs=1), 2, model=Momentum())
    seen = Seen()
    train(OneCycle(), 2, seen, model=Momentum())
    last = one_cycle(9 / 10)
    assert seen.last == pytest.approx((0.1 * last.lr_factor, last.momentum))


def test_the_head_gives_fastais_output():
    golden = GOLDEN["head"]
    maps = torch.tensor(golden["maps"])
    pooled = torch.cat([maps.amax((2, 3)), maps.mean((2, 3))], dim=1)  # fastai's order
    head = fastai_head(pooled.shape[1], 2, hidden=5).eval()
    # fastai's head starts with pooling and flattening: its names are two ahead.
    head.load_state_dict({f"{int(k[0]) - 2}{k[1:]}": torch.tensor(v) for k, v in golden["state"].items()})
    torch.testing.assert_close(head(pooled), torch.tensor(golden["output"]), rtol=0, atol=1e-6)


def test_sigmoid_range_gives_fastais_output():
    golden = GOLDEN["sigmoid_range"]
    output = sigmoid_range(torch.tensor(golden["logits"]), -1, 1)
    torch.testing.assert_close(output, torch.tensor(golden["output"]), rtol=0, atol=1e-7)
