"""LinearProbe among other callbacks."""

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EMAWeightAveraging

from lightning_tasks import FineTune, MultiLabelClassifier, MultiLabelDataModule
from lightning_tasks.callbacks.linear_probe import LinearProbe
from tests.fakes import LABELS, write_multilabel


class Head(pl.Callback):
    """Keep the head as it is before the first batch, and which of its layers are in training in each step."""

    def __init__(self):
        self.training = []

    def on_train_batch_start(self, trainer, module, *args):
        if not self.training:
            self.state = {name: value.clone() for name, value in module.head.state_dict().items()}
        self.training.append([layer.training for layer in module.head])


@pytest.mark.parametrize("first", ["probe", "plan"])
def test_no_other_callback_undoes_it_wherever_it_stands(tmp_path, first):
    """FineTune may keep the head's statistics; an average begins with the fitted head, before its first update too."""
    write_multilabel(tmp_path / "root", LABELS)
    data = MultiLabelDataModule(root=str(tmp_path / "root"), size=32, batch_size=3, num_workers=0, cache="none")
    model = MultiLabelClassifier(["cat", "dog"], "test_resnet", (32, 32), head="linear")
    probe = LinearProbe(views=1, folds=2, epochs=1, keep_gb=0, validate=False)
    plan, head = FineTune(epochs=1, freeze_epochs=0, keep_statistics=True), Head()
    order = [probe, plan] if first == "probe" else [EMAWeightAveraging(update_starting_at_step=99), plan, probe]
    trainer = pl.Trainer(
        max_epochs=1, callbacks=[*order, head], accelerator="cpu", logger=False, default_root_dir=tmp_path,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, limit_val_batches=0,
    )  # fmt: skip
    trainer.fit(model, datamodule=data)
    assert head.training == [[False, True, True]] * 2  # batch normalisation, dropout, linear
    assert head.state["2.weight"].abs().sum() > 0
    kept = [name for name in head.state if torch.equal(head.state[name], model.head.state_dict()[name])]
    assert kept == (list(head.state) if first == "plan" else [name for name in head.state if name.startswith("0.")])
