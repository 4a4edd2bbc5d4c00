"""The callback FineTune."""

import pytest
import torch
from pytorch_lightning import Callback, Trainer
from torch.utils.data import DataLoader

from lightning_tasks import FineTune, MultiLabelClassifier
from lightning_tasks.batch import TargetBatch
from lightning_tasks.errors import ConfigError
from lightning_tasks.training.schedule import fine_tune

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
    with pytest.raises(ConfigError, match=r"given twice: model\.lr_mult is 4\.0, FineTune's lr_mult 100\.0"):
        train(FineTune(epochs=1, lr_mult=100.0), tmp_path, lr_mult=4.0)
