import pytest
import torch

from lightning_tasks.callbacks.epoch_table import EpochTable


class Fake:
    """As much of a Trainer as EpochTable asks for."""

    def __init__(self):
        self.callback_metrics, self.current_epoch, self.lines = {}, 0, []

    def print(self, line):
        self.lines.append(line)


def printed(table, trainer, *names):
    """Let an epoch with a validation end in which `names` were logged."""
    trainer.callback_metrics |= dict.fromkeys(names, torch.tensor(0.5))
    table.on_train_epoch_start(trainer, None)
    table.on_validation_end(trainer, None)
    table.on_train_epoch_end(trainer, None)
    trainer.current_epoch += 1
    return trainer.lines


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
    assert [line.split()[:-1] for line in trainer.lines] == [
        ["epoch", "train/loss"],
        ["0", "0.5000"],
        ["epoch", "train/loss", "val/loss", "val/mAP"],
        ["1", "0.5000", "1.0000", "0.2500"],
        ["2", "0.5000"],
    ]


def test_where_nothing_is_logged_the_epochs_are_counted():
    assert [line.split()[:-1] for line in printed(EpochTable(), Fake())] == [["0"]]


NAMES = ("val/MAE_age", "val/aux_loss", "val/loss", "val/RMSE", "train/loss_epoch")
WHOLE = "epoch  train/loss  val/aux_loss    val/loss  val/MAE_age    val/RMSE  seconds"
NARROW = "epoch  train/loss    val/loss  val/MAE_age  val/aux_loss  seconds"


@pytest.mark.parametrize(
    ("width", "header", "more"),
    [
        (77, WHOLE, 0),
        (76, NARROW, 1),
        (65, NARROW, 1),
        (64, "epoch  train/loss    val/loss  val/MAE_age  seconds", 2),  # none after one that does not fit
        (20, "epoch  train/loss    val/loss  seconds", 3),
    ],
)
def test_a_table_is_as_wide_as_the_terminal(width, header, more, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    table, trainer = EpochTable(), Fake()
    printed(table, trainer, *NAMES)
    monkeypatch.setenv("COLUMNS", "300")  # what the header says counts
    first, *told, row, last = printed(table, trainer)
    assert first == header
    assert told == ([f"       and {more} more in metrics.csv"] if more else [])
    assert len(row) == len(last) == len(header)
    assert row.split()[:-1] == ["0", *["0.5000"] * (len(header.split()) - 2)]


def test_without_a_terminal_120_letters_fit(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr("sys.__stdout__", None)
    names = [f"val/score_{number:02}" for number in range(12)]
    lines = printed(EpochTable(), Fake(), "train/loss_epoch", *names)
    assert lines[0].split() == ["epoch", "train/loss", *names[:6], "seconds"]
    assert lines[1:-1] == ["       and 6 more in metrics.csv"]
