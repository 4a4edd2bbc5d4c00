import pytest
import torch
from sklearn.metrics import accuracy_score

from lightning_tasks.tasks.multilabel.scores import (
    AllNegativeAccuracy,
    MacroAveragePrecision,
    ThresholdedAccuracy,
)
from lightning_tasks.tasks.multilabel.threshold_curve import ThresholdAccuracies, threshold_curve


def test_each_label_has_its_threshold_and_ignored_cells_do_not_count():
    torch.manual_seed(0)
    probabilities, targets = torch.rand(40, 3), torch.randint(-1, 2, (40, 3))
    thresholds = torch.tensor([0.2, 0.5, 0.9])
    metric = ThresholdedAccuracy(thresholds)
    for rows in (slice(0, 25), slice(25, 40)):
        metric.update(probabilities[rows], targets[rows])
    counts = targets != -1
    assert metric.compute().item() == pytest.approx(
        accuracy_score(targets[counts], (probabilities > thresholds)[counts].int())
    )
    nothing = AllNegativeAccuracy()
    nothing.update(probabilities, targets)
    assert nothing.compute().item() == pytest.approx(accuracy_score(targets[counts], torch.zeros_like(targets)[counts]))
    assert not metric.state_dict()  # nothing for a checkpoint to hold


def test_ignored_cells_do_not_rank():
    probabilities = torch.tensor([[0.9, 0.1], [0.8, 0.9], [0.7, 0.3]])
    metric = MacroAveragePrecision()
    metric.update(probabilities, torch.tensor([[-1, 0], [1, 1], [0, -1]]))
    assert metric.compute().item() == 1


def test_predicting_nothing_is_scored_over_all_cells():
    metric = AllNegativeAccuracy()
    metric.update(torch.rand(2, 3), torch.tensor([[1, 0, 0], [0, 0, 0]]))
    metric.update(torch.rand(1, 3), torch.tensor([[1, 1, 1]]))
    assert metric.compute().item() == pytest.approx(5 / 9)


@pytest.mark.filterwarnings("ignore:No positive samples")
def test_classes_without_a_positive_do_not_count():
    metric = MacroAveragePrecision()
    # By hand: the first class is ranked right (1), the second has its positive last of two (1/2), the third has none.
    metric.update(torch.tensor([[0.9, 0.8, 0.5], [0.2, 0.6, 0.5]]), torch.tensor([[1, 0, 0], [0, 1, 0]]))
    assert metric.compute().item() == pytest.approx((1 + 0.5) / 2)
    for nothing in (torch.zeros(2, 3, dtype=torch.int), torch.full((2, 3), -1)):
        metric.reset()
        metric.update(torch.rand(2, 3), nothing)
        assert metric.compute().isnan()


def test_a_probability_that_is_no_number_has_no_rank():
    metric = MacroAveragePrecision()
    metric.update(torch.tensor([[0.9, 0.8], [0.2, float("nan")]]), torch.tensor([[1, 0], [0, 1]]))
    assert metric.compute().isnan()


def test_batch_by_batch_the_curve_is_that_of_the_whole_set():
    generator = torch.Generator().manual_seed(0)
    probabilities, targets = torch.rand(11, 3, generator=generator), torch.randint(-1, 2, (11, 3), generator=generator)
    metric = ThresholdAccuracies()
    for rows in (slice(0, 4), slice(4, 11)):
        metric.update(probabilities[rows], targets[rows])
    accuracies, all_negative = metric.compute()
    assert accuracies.tolist() == pytest.approx([accuracy for _, accuracy in threshold_curve(probabilities, targets)])
    assert all_negative.item() == pytest.approx(float((targets == 0).sum() / (targets != -1).sum()))
