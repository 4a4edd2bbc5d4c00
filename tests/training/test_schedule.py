import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pytorch_lightning import LightningModule, Trainer
from torch.utils.data import DataLoader

from lightning_tasks import FineTune, OneCycle
from lightning_tasks.errors import ConfigError
from lightning_tasks.training.schedule import fine_tune, fine_tune_stages, one_cycle

# fastai 2.8's fit_one_cycle over ten batches with lr_max 3e-3: the second learning rate, to three digits.
FASTAI_SECOND_RATE = 0.00112


def test_the_second_rate_is_fastais_and_not_torchs():
    assert one_cycle(1 / 10).lr_factor * 3e-3 == pytest.approx(FASTAI_SECOND_RATE, abs=5e-6)


def test_the_ends_are_the_divisors():
    first = one_cycle(0)
    assert (first.lr_factor, first.momentum) == (pytest.approx(1 / 25), 0.95)
    peak = one_cycle(25 / 100)
    assert (peak.lr_factor, peak.momentum) == (pytest.approx(1), pytest.approx(0.85))
    assert one_cycle(1 - 1e-9).lr_factor == pytest.approx(1e-5, rel=1e-3)
    assert one_cycle(99 / 100, pct_start=0.3, div=5).momentum == pytest.approx(0.95, abs=1e-3)
    assert one_cycle(0, pct_start=0.3, div=5).lr_factor == pytest.approx(1 / 5)


def test_rates_fall_from_the_head_to_the_first_stage():
    peak = fine_tune_stages(0.25, 3, base_lr=8e-4, stage_decay=0.5, head_factor=0.1, pct_start=0.25)
    assert peak.lrs == pytest.approx((1e-4, 2e-4, 4e-4, 8e-5))
    start = fine_tune_stages(0.0, 3, base_lr=8e-4, stage_decay=0.5, div=4.0)
    assert (start.lrs, start.momentum) == (pytest.approx((2.5e-5, 5e-5, 1e-4, 2e-4)), 0.95)


@given(st.integers(2, 500), st.floats(0.05, 0.99))
def test_the_rate_rises_then_falls_and_momentum_the_other_way(total, pct_start):
    rates = [one_cycle(step / total, pct_start) for step in range(total)]
    factors = [rate.lr_factor for rate in rates]
    top = factors.index(max(factors))
    assert factors[: top + 1] == sorted(factors[: top + 1])
    assert factors[top:] == sorted(factors[top:], reverse=True)
    assert all(1e-5 <= f <= 1 + 1e-12 for f in factors)
    assert all(0.85 - 1e-12 <= rate.momentum <= 0.95 + 1e-12 for rate in rates)


class Line(LightningModule):
    """The smallest model with groups of different rates; keeps what the optimiser used."""

    def __init__(self):
        super().__init__()
        self.a, self.b = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
        self.used = []

    def training_step(self, batch):
        self.used.append([(g["lr"], g["betas"]) for g in self.optimizers().param_groups])
        return self.b(self.a(batch)).square().mean()

    def configure_optimizers(self):
        groups = [
            {"params": module.parameters(), "max_lr": lr, "name": name}
            for name, module, lr in (("early", self.a, 1e-3), ("head", self.b, 1e-2))
        ]
        return torch.optim.AdamW(groups, lr=0.5, betas=(0.95, 0.99))


def fit(model, **settings):
    trainer = Trainer(
        callbacks=[OneCycle()], logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, accelerator="cpu", **settings,
    )  # fmt: skip
    trainer.fit(model, DataLoader(torch.ones(8, 1), 2))


def test_every_batch_gets_its_rate_in_the_groups_ratio():
    model = Line()
    fit(model, max_epochs=3)
    assert len(model.used) == 12
    for step, (early, head) in enumerate(model.used):
        rate = one_cycle(step / 12)
        assert early == (pytest.approx(1e-3 * rate.lr_factor), (rate.momentum, 0.99))
        assert head == (pytest.approx(1e-2 * rate.lr_factor), (rate.momentum, 0.99))


def test_a_run_without_an_end_is_refused():
    with pytest.raises(ConfigError, match="max_epochs"):
        fit(Line(), max_epochs=-1)


def test_a_run_that_ends_frozen_can_end_slowly():
    heads = [fine_tune(True, step / 100, base_lr=1.0, freeze_pct_start=0.3).lrs for step in range(100)]
    assert max(range(100), key=lambda step: heads[step][2]) == 30
    assert heads[30] == pytest.approx((0.1, 0.1, 1.0))
    assert heads[99][2] < 2e-3
    fastais = [fine_tune(True, step / 100, base_lr=1.0).lrs[2] for step in range(100)]
    assert fastais[:99] == sorted(fastais[:99])


@pytest.mark.parametrize("make", [lambda: OneCycle(pct_start=1.5), lambda: FineTune(3, freeze_pct_start=-0.1)])
def test_shares_that_cannot_be_are_refused(make):
    with pytest.raises(ConfigError, match="share of the batches"):
        make()
