import pytest
import torch

from lightning_tasks.evaluation.multilabel import AllNegativeAccuracy, MacroAveragePrecision


def test_predicting_nothing_is_scored_over_all_cells():
    metric = AllNegativeAccuracy()
    metric.update(torch.rand(2, 3), torch.tensor([[1, 0, 0], [0, 0, 0]]))
    metric.update(torch.rand(1, 3), torch.tensor([[1, 1, 1]]))
    assert metric.compute().item() == pytest.approx(5 / 9)


@pytest.mark.filterwarnings("ignore:No positive samples")
def test_classes_without_a_positive_do_not_count():
    metric = MacroAveragePrecision(3)
    # By hand: the first class is ranked right (1), the second has its positive last of two (1/2), the third has none.
    metric.update(torch.tensor([[0.9, 0.8, 0.5], [0.2, 0.6, 0.5]]), torch.tensor([[1, 0, 0], [0, 1, 0]]))
    assert metric.compute().item() == pytest.approx((1 + 0.5) / 2)
    metric.reset()
    metric.update(torch.rand(2, 3), torch.zeros(2, 3, dtype=torch.int))
    assert metric.compute().isnan()
