import numpy as np
import pytest
import torch

from lightning_tasks.batch import TargetBatch
from lightning_tasks.tasks.multilabel.draw import draw_batch, draw_heat, draw_results
from lightning_tasks.tasks.multilabel.threshold_curve import CURVE, threshold_figure


def images(n):
    return [np.zeros((24, 32, 3), np.uint8)] * n


def pixels(n):
    return torch.zeros(n, 3, 24, 32, dtype=torch.uint8)


def test_labels_stand_above_and_mixed_ones_with_their_shares():
    batch = TargetBatch(pixels(3), torch.tensor([[1.0, 1], [0, 0], [0.25, 0.75]]), torch.arange(3))
    figure = draw_batch(batch, ["cat", "dog"])
    assert [ax.get_title() for ax in figure.axes] == ["cat, dog", "no label", "cat 0.25, dog 0.75"]


def test_untouched_images_stand_beside():
    untouched = [np.full((40, 20, 3), shade, np.uint8) for shade in (1, 2)]
    figure = draw_batch(TargetBatch(pixels(2), torch.eye(2), torch.arange(2)), ["a", "b"], untouched)
    assert [ax.get_title() for ax in figure.axes] == ["untouched", "a", "untouched", "b"]
    assert [int(ax.images[0].get_array().max()) for ax in figure.axes] == [1, 0, 2, 0]


def test_labels_stand_above_and_predictions_below():
    targets, probabilities = torch.tensor([[1.0, 0, 1], [0, 0, 0]]), torch.tensor([[0.9, 0.5, 0.6], [0.1, 0.7, 0.2]])
    first, second = draw_results(images(2), targets, probabilities, ["a", "b", "c"], probabilities > 0.5).axes
    assert (first.get_title(), first.get_xlabel()) == ("a, c", "a 0.90\nc 0.60")  # 0.5 is not greater than 0.5
    assert (second.get_title(), second.get_xlabel()) == ("no label", "b 0.70")
    assert first.xaxis.label.get_color() != second.xaxis.label.get_color()  # right, and wrong


def test_each_label_may_have_its_threshold_and_a_cell_that_does_not_count_is_not_wrong():
    targets, probabilities = torch.tensor([[1.0, 0, -1], [1, 0, 0]]), torch.tensor([[0.3, 0.6, 0.9]] * 2)
    thresholds = torch.tensor([0.2, 0.7, 0.5])
    right, wrong = draw_results(
        images(2), targets, probabilities, ["a", "b", "c"], probabilities > thresholds, [0.5, 0.25]
    ).axes
    assert (right.get_title(), right.get_xlabel()) == ("a", "loss 0.500\nc 0.90\na 0.30")
    assert wrong.get_xlabel().startswith("loss 0.250\n")
    assert right.xaxis.label.get_color() != wrong.xaxis.label.get_color()


def test_five_right_labels_are_right_though_four_are_listed():
    targets = torch.tensor([[1.0] * 5 + [0], [1.0] * 4 + [0, 0]])
    probabilities = torch.tensor([[0.9, 0.8, 0.7, 0.6, 0.55, 0.1]] * 2)
    right, wrong = draw_results(images(2), targets, probabilities, list("abcdef"), probabilities > 0.5).axes
    assert right.get_xlabel() == wrong.get_xlabel() == "a 0.90\nb 0.80\nc 0.70\nd 0.60"
    assert right.xaxis.label.get_color() != wrong.xaxis.label.get_color()


def test_heat_lies_on_the_image():
    heat = torch.zeros(2, 24, 32)
    heat[0, 3, 4] = 7
    there, not_there = draw_heat(images(2), heat, "dog", torch.tensor([1, 0]), torch.tensor([0.9, 0.25])).axes
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
        assert len(draw_results(images(n), nothing, nothing, ["a"], nothing > 0).axes) == n
