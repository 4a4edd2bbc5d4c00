import numpy as np
import pytest
import torch
from lightning_tasks.reports.results import heat_results, label_results, point_results

from lightning_tasks.callbacks.epoch_table import EpochTable
from lightning_tasks.tasks.multilabel.threshold_figure import threshold_figure
from lightning_tasks.tasks.multilabel.thresholds import CURVE


def images(n):
    return [np.zeros((24, 32, 3), np.uint8)] * n


def test_labels_stand_above_and_predictions_below():
    targets, probabilities = torch.tensor([[1.0, 0, 1], [0, 0, 0]]), torch.tensor([[0.9, 0.5, 0.6], [0.1, 0.7, 0.2]])
    first, second = label_results(images(2), targets, probabilities, ["a", "b", "c"], probabilities > 0.5).axes
    assert (first.get_title(), first.get_xlabel()) == ("a, c", "a 0.90\nc 0.60")  # 0.5 is not greater than 0.5
    assert (second.get_title(), second.get_xlabel()) == ("no label", "b 0.70")
    assert first.xaxis.label.get_color() != second.xaxis.label.get_color()  # right, and wrong


def test_each_label_may_have_its_threshold_and_a_cell_that_does_not_count_is_not_wrong():
    targets, probabilities = torch.tensor([[1.0, 0, -1], [1, 0, 0]]), torch.tensor([[0.3, 0.6, 0.9]] * 2)
    thresholds = torch.tensor([0.2, 0.7, 0.5])
    right, wrong = label_results(
        images(2), targets, probabilities, ["a", "b", "c"], probabilities > thresholds, [0.5, 0.25]
    ).axes
    assert (right.get_title(), right.get_xlabel()) == ("a", "loss 0.500\nc 0.90\na 0.30")
    assert wrong.get_xlabel().startswith("loss 0.250\n")
    assert right.xaxis.label.get_color() != wrong.xaxis.label.get_color()


def test_five_right_labels_are_right_though_four_are_listed():
    targets = torch.tensor([[1.0] * 5 + [0], [1.0] * 4 + [0, 0]])
    probabilities = torch.tensor([[0.9, 0.8, 0.7, 0.6, 0.55, 0.1]] * 2)
    right, wrong = label_results(images(2), targets, probabilities, list("abcdef"), probabilities > 0.5).axes
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


def test_points_are_drawn_where_they_are_and_hidden_ones_not():
    nan = torch.nan
    targets_px = torch.tensor([[[16.0, 12.0], [nan, nan]], [[nan, nan]] * 2])
    errors_px = torch.tensor([[16.0, nan], [nan, nan]])
    seen, empty = point_results(images(2), targets_px, torch.full((2, 2, 2), 9.0), errors_px, [0.25, 0.5]).axes
    target, prediction = (collection.get_offsets().data.tolist() for collection in seen.collections)
    assert (target, prediction) == ([[16, 12]], [[9, 9]])
    assert (seen.get_xlabel(), empty.get_xlabel()) == ("loss 0.250\n16.0 px off", "loss 0.500\nno point")


def test_heat_lies_on_the_image():
    heat = torch.zeros(2, 24, 32)
    heat[0, 3, 4] = 7
    there, not_there = heat_results(images(2), heat, "dog", torch.tensor([1, 0]), torch.tensor([0.9, 0.25])).axes
    assert (there.get_title(), there.get_xlabel()) == ("dog", "dog 0.90")
    assert (not_there.get_title(), not_there.get_xlabel()) == ("no dog", "dog 0.25")
    assert there.images[1].get_array().argmax() == 3 * 32 + 4


def test_the_best_threshold_is_marked_and_what_it_must_beat():
    accuracies = [0.5 + 0.01 * (14 - abs(i - 20)) for i in range(29)]
    (ax,) = threshold_figure(accuracies, 0.6).axes
    line, negative, best = ax.lines
    assert list(line.get_xdata()) == list(CURVE)
    assert list(line.get_ydata()) == accuracies
    assert set(negative.get_ydata()) == {0.6}
    assert (best.get_xdata()[0], best.get_ydata()[0]) == (CURVE[20], pytest.approx(0.64))


def test_any_number_of_images_fits():
    for n in (1, 2, 4, 9):
        nothing = torch.zeros(n, 1)
        assert len(label_results(images(n), nothing, nothing, ["a"], nothing > 0).axes) == n
