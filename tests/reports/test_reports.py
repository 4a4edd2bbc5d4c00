import re

import pytest
import torch

from lightning_tasks.batch import KeypointBatch, MultiLabelBatch
from lightning_tasks.reports.epoch_table import EpochTable
from lightning_tasks.reports.results import keypoint_results, multilabel_results


def pictures(n):
    return torch.zeros(n, 3, 24, 32, dtype=torch.uint8)


def test_labels_stand_above_and_predictions_below():
    batch = MultiLabelBatch(pictures(2), torch.tensor([[1.0, 0, 1], [0, 0, 0]]), torch.arange(2))
    probabilities = torch.tensor([[0.9, 0.5, 0.6], [0.1, 0.7, 0.2]])
    figure = multilabel_results(batch, probabilities, ["a", "b", "c"], probabilities > 0.5)
    first, second = figure.axes
    assert (first.get_title(), first.get_xlabel()) == ("a, c", "a 0.90\nc 0.60")  # 0.5 is not greater than 0.5
    assert (second.get_title(), second.get_xlabel()) == ("no label", "b 0.70")
    assert first.xaxis.label.get_color() != second.xaxis.label.get_color()  # right, and wrong


def test_five_right_labels_are_right_though_four_are_listed():
    vocab = list("abcdef")
    batch = MultiLabelBatch(pictures(2), torch.tensor([[1.0] * 5 + [0], [1.0] * 4 + [0, 0]]), torch.arange(2))
    probabilities = torch.tensor([[0.9, 0.8, 0.7, 0.6, 0.55, 0.1]] * 2)
    right, wrong = multilabel_results(batch, probabilities, vocab, probabilities > 0.5).axes
    assert right.get_xlabel() == wrong.get_xlabel() == "a 0.90\nb 0.80\nc 0.70\nd 0.60"
    assert right.xaxis.label.get_color() != wrong.xaxis.label.get_color()


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


def test_points_are_drawn_in_the_pictures_pixels_and_errors_in_the_originals():
    points = torch.tensor([[[0.0, 0.0], [0.5, 0.5]]])
    visible = torch.tensor([[True, False]])
    batch = KeypointBatch(pictures(1), points, visible, torch.tensor([[320.0, 240.0]]), torch.arange(1))
    figure = keypoint_results(batch, points + torch.tensor([0.1, 0.0]))
    (ax,) = figure.axes
    target, prediction = (collection.get_offsets().data.tolist() for collection in ax.collections)
    assert target == [[16, 12]]
    assert prediction == [pytest.approx([17.6, 12])]
    assert re.fullmatch(r"16\.0 px off", ax.get_xlabel())


def test_any_number_of_pictures_fits():
    for n in (1, 2, 4, 9):
        batch = MultiLabelBatch(pictures(n), torch.zeros(n, 1), torch.arange(n))
        assert len(multilabel_results(batch, torch.zeros(n, 1), ["a"], torch.zeros(n, 1, dtype=torch.bool)).axes) == n
