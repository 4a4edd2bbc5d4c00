"""The callback FineTune."""

import pytest
import torch
from pytorch_lightning import Callback, Trainer
from torch.utils.data import DataLoader

from lightning_tasks import FineTune, MultiLabelClassifier
from lightning_tasks.batch import TargetBatch
from lightning_tasks.errors import CheckpointError, ConfigError
from lightning_tasks.training.schedule import fine_tune, fine_tune_stages

BATCH = TargetBatch(torch.zeros(2, 3, 32, 32, dtype=torch.uint8), torch.eye(2), torch.arange(2))


class Rates(Callback):
    """Keep each step's rates, from the earliest group to the head."""

    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, *args):
        by_name = {group["name"]: group["lr"] for group in trainer.optimizers[0].param_groups}
        self.seen.append([by_name["early"], by_name["late"], by_name["head"]])


def train(plan, tmp_path, **settings):
    model = MultiLabelClassifier(["a", "b"], "test_resnet", image_size=(32, 32), **settings)
    rates = Rates()
    trainer = Trainer(
        max_epochs=2,
        callbacks=[plan, rates],
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(model, DataLoader([BATCH] * 3, batch_size=None))
    return rates.seen


@pytest.mark.parametrize(
    ("of_plan", "of_model", "counts"),
    [({}, {}, 100), ({}, {"lr_mult": 4.0}, 4), ({"lr_mult": 30.0}, {}, 30), ({"lr_mult": 4.0}, {"lr_mult": 4.0}, 4)],
)
def test_the_heads_rate_over_the_bodys_counts_wherever_it_is_given(of_plan, of_model, counts, tmp_path):
    seen = train(FineTune(epochs=1, freeze_epochs=1, **of_plan), tmp_path, lr=1e-2, **of_model)
    wanted = [fine_tune(False, step / 3, base_lr=1e-2, lr_mult=counts).lrs for step in range(3)]
    assert seen[3:] == [pytest.approx(lrs, rel=1e-12) for lrs in wanted]
    assert seen[3][2] / seen[3][0] == pytest.approx(counts)


def test_two_of_them_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"stage_decay and model\.lr_mult both say"):
        train(FineTune(epochs=1, stage_decay=0.5), tmp_path, lr_mult=4.0)
    with pytest.raises(ConfigError, match=r"given twice: model\.lr_mult is 4\.0, FineTune's lr_mult 100\.0"):
        train(FineTune(epochs=1, lr_mult=100.0), tmp_path, lr_mult=4.0)


class States(Callback):
    """Keep, after each step, the rates by group, which parameters moved, and which batch normalisation learns."""

    def __init__(self):
        self.rates, self.moved, self.learning = [], [], []

    def on_train_batch_start(self, trainer, module, *args):
        self.before = {name: value.detach().clone() for name, value in module.named_parameters()}

    def on_train_batch_end(self, trainer, module, *args):
        self.rates.append({g["name"]: g["lr"] for g in trainer.optimizers[0].param_groups if g["name"][-5:] != "decay"})
        self.moved.append(
            {name for name, value in module.named_parameters() if not torch.equal(value, self.before[name])}
        )
        norms = (layer for layer in module.modules() if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm))
        self.learning.append([layer.training for layer in norms])


class Saver(Callback):
    """Save a checkpoint when so many steps are made, before the next one."""

    def __init__(self, step, path):
        self.step, self.path = step, path

    def on_train_batch_end(self, trainer, *args):
        if trainer.global_step == self.step and trainer.global_step % 3:
            trainer.save_checkpoint(self.path)

    def on_train_epoch_end(self, trainer, *args):
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)


def by_stages(tmp_path, model=None, ckpt_path=None, callbacks=(), **plan):
    torch.manual_seed(1)
    model = model or a_model()
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    batch = TargetBatch(images, torch.eye(2).repeat(2, 1), torch.arange(4))
    states = States()
    trainer = Trainer(
        max_epochs=2, callbacks=[FineTune(**plan), states, *callbacks], accelerator="cpu", logger=False,
        enable_progress_bar=False, enable_checkpointing=False, enable_model_summary=False, default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(model, DataLoader([batch] * 3, batch_size=None), ckpt_path=ckpt_path)
    return model, states


def a_model():
    model = MultiLabelClassifier(["a", "b"], "test_resnet", image_size=(32, 32), lr=1e-3, head="linear")
    torch.nn.init.normal_(model.head[-1].weight)  # not 0, which no gradient would go through
    return model


def test_rates_fall_from_stage_to_stage_and_the_first_ones_stay(tmp_path):
    options = {"stage_decay": 0.5, "head_factor": 0.1, "freeze_depth": 0.4, "keep_statistics": True}
    model, states = by_stages(tmp_path, epochs=2, freeze_epochs=0, **options)
    stages = model.backbone.stages()
    names = {parameter: name for name, parameter in model.named_parameters()}
    assert len(stages) == 5  # stem, layer1 to layer4
    factors = [0.5 ** (5 - stage) for stage in range(5)] + [0.1]
    for step, rates in enumerate(states.rates):
        factor = fine_tune_stages(step / 6, 5, 1e-3, 0.5, 0.1).lrs[-1] / 1e-4
        assert list(rates) == [*(f"stage_{stage}" for stage in range(5)), "head"]
        assert list(rates.values()) == pytest.approx([1e-3 * share * factor for share in factors], rel=1e-9)
    kept = {names[parameter] for stage in stages[:2] for parameter in stage}
    assert states.moved[1] == set(names.values()) - kept
    assert not any(map(any, states.learning))  # body and head
    assert all(parameter.requires_grad for parameter in model.parameters())  # afterwards nothing is frozen
    _, states = by_stages(tmp_path, model, epochs=1, freeze_epochs=1)  # another plan for the same model
    assert list(states.rates[0]) == ["early", "late", "head"]
    assert all(map(all, states.learning))


@pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before:UserWarning")
@pytest.mark.parametrize("step", [2, 3])
def test_what_stays_stays_in_a_run_that_is_resumed(tmp_path, step):
    options = {"epochs": 2, "freeze_epochs": 0, "stage_decay": 0.5, "freeze_depth": 0.4, "keep_statistics": True}
    _, whole = by_stages(tmp_path, callbacks=[Saver(step, tmp_path / "x.ckpt")], **options)
    model, states = by_stages(tmp_path, ckpt_path=tmp_path / "x.ckpt", **options)
    names = {parameter: name for name, parameter in model.named_parameters()}
    kept = {names[parameter] for stage in model.backbone.stages()[:2] for parameter in stage}
    with pytest.raises(CheckpointError, match="with FineTune's stage_decay, and is to be resumed without it"):
        by_stages(tmp_path, ckpt_path=tmp_path / "x.ckpt", epochs=2, freeze_epochs=0)
    assert states.rates[-3:] == whole.rates[-3:]
    assert all(moved and not moved & kept for moved in states.moved)
    assert not any(map(any, states.learning))


def test_stages_stay_frozen_after_frozen_epochs_too(tmp_path):
    model, states = by_stages(tmp_path, epochs=1, freeze_epochs=1, stage_decay=0.5, freeze_depth=0.4)
    names = {parameter: name for name, parameter in model.named_parameters()}
    kept = {names[parameter] for stage in model.backbone.stages()[:2] for parameter in stage}
    norms = {name for name in names.values() if ".bn" in name or ".downsample.2" in name}
    assert (states.moved[2] & kept, states.moved[5] & kept) == (set(), set())
    assert {name for name in states.moved[2] if name.startswith("backbone")} <= norms
    assert states.moved[5] == set(names.values()) - kept
    assert 0 < sum(states.learning[5]) < len(states.learning[5])  # not in the stages that stay


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head_factor": 0.1}, "head_factor is 0.1, which counts with stage_decay alone"),
        ({"stage_decay": 0.7, "lr_mult": 10.0}, "Leave out one"),
        ({"stage_decay": 1.5}, "stage_decay is 1.5; it must be above 0, and at most 1"),
        ({"stage_decay": 0.7, "head_factor": -1.0}, "head_factor is -1.0; it must not be negative"),
        ({"freeze_depth": 1.0}, "freeze_depth is 1.0; it is a share of the stages"),
    ],
)
def test_stages_and_rates_that_do_not_fit_are_refused(tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        by_stages(tmp_path, epochs=1, freeze_epochs=1, **options)
