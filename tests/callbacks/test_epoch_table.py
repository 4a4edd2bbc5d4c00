import torch

from lightning_tasks.callbacks.epoch_table import EpochTable


class Fake:
    """As much of a Trainer as EpochTable asks for."""

    def __init__(self):
        self.callback_metrics, self.current_epoch, self.lines = {}, 0, []

    def print(self, line):
        self.lines.append(line.split())


def test_the_epoch_table_shows_validation_only_where_it_ran():
    table, trainer = EpochTable(), Fake()
    for epoch, validated in enumerate((False, True, False)):
        trainer.current_epoch = epoch
        table.on_train_epoch_start(trainer, None)
        trainer.callback_metrics["train/loss_epoch"] = torch.tensor(0.5)
        if validated:
            trainer.callback_metrics.update({"val/mAP": torch.tensor(0.25), "val/loss": torch.tensor(1.0)})
            table.on_validation_end(trainer, None)
        table.on_train_epoch_end(trainer, None)
    assert [line[:-1] for line in trainer.lines] == [
        ["epoch", "train/loss"],
        ["0", "0.5000"],
        ["epoch", "train/loss", "val/loss", "val/mAP"],
        ["1", "0.5000", "1.0000", "0.2500"],
        ["2", "0.5000"],
    ]
