import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from lightning_tasks.tasks.values.losses import element_losses, masked_loss
from lightning_tasks.tasks.values.scores import GatheredValues, scores_by_group, value_scores

NAMES = ["age", "weight"]
MEANS, MEDIANS = torch.tensor([40.0, 2.0]), torch.tensor([38.0, 1.5])
numbers = st.floats(-100, 100, width=32).map(lambda x: round(x, 1))  # with ties


@given(st.lists(st.tuples(numbers, numbers, st.booleans()), min_size=3, max_size=30))
def test_scores_are_those_of_scikit_learn_and_scipy_over_the_known_numbers(rows):
    predicted, targets, known = (np.array(column) for column in zip(*rows, strict=True))
    truth = np.where(known, targets, np.nan)
    both = torch.tensor(np.stack([predicted, predicted], 1)), torch.tensor(np.stack([truth, targets], 1))
    scores = value_scores(*both, NAMES, MEANS, MEDIANS)
    assert scores["age"].n == known.sum()
    for name, used, mean, median in (("age", known, 40.0, 38.0), ("weight", np.ones(len(rows), bool), 2.0, 1.5)):
        found, y, p = scores[name], targets[used], predicted[used]
        if not len(y):
            assert math.isnan(found.mae)
            continue
        assert found.mae == pytest.approx(mean_absolute_error(y, p), abs=1e-9)
        assert found.mae_baseline == pytest.approx(mean_absolute_error(y, np.full(len(y), median)), abs=1e-9)
        assert found.rmse == pytest.approx(root_mean_squared_error(y, p), abs=1e-9)
        assert found.rmse_baseline == pytest.approx(root_mean_squared_error(y, np.full(len(y), mean)), abs=1e-9)
        if len(set(y)) < 2:
            assert math.isnan(found.r2)
            assert math.isnan(found.spearman)
            continue
        assert found.r2 == pytest.approx(r2_score(y, p), rel=1e-6, abs=1e-9)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of constant predictions, which have no ranks
            oracle = spearmanr(y, p).statistic
        assert found.spearman == pytest.approx(oracle, abs=1e-6, nan_ok=True)


def test_scores_of_groups_are_those_of_their_rows():
    predicted, targets = torch.rand(6, 1), torch.rand(6, 1)
    scores = scores_by_group(list("abaabb"), predicted, targets, ["age"], MEANS[:1], MEDIANS[:1])
    assert list(scores) == ["a", "b"]
    rows = [0, 2, 3]
    assert scores["a"] == value_scores(predicted[rows], targets[rows], ["age"], MEANS[:1], MEDIANS[:1])


def test_gathered_values_come_back_in_order():
    metric = GatheredValues(2)
    first, second = torch.rand(3, 2), torch.rand(1, 2)
    for batch in (first, second):
        metric.update(batch, batch + 1)
    predicted, targets = metric.compute()
    torch.testing.assert_close(predicted, torch.cat([first, second]))
    torch.testing.assert_close(targets, predicted + 1)


@pytest.mark.parametrize(("kind", "worked"), [("mse", (0.25 + 4) / 2), ("huber", (0.125 + 1.5) / 2), ("l1", 1.25)])
def test_losses_are_means_over_what_is_known(kind, worked):
    predicted = torch.tensor([[0.5, 7.0], [2.0, 7.0]], requires_grad=True)
    targets = torch.tensor([[0.0, torch.nan], [0.0, torch.nan]])
    loss = masked_loss(kind, predicted, targets)
    assert loss.item() == pytest.approx(worked)
    loss.backward()
    assert predicted.grad.isfinite().all()
    assert (predicted.grad[:, 1] == 0).all()
    assert element_losses(kind, predicted, targets).isnan().tolist() == [[False, True]] * 2
    assert masked_loss(kind, predicted, torch.full((2, 2), torch.nan)) == 0
    with pytest.raises(ValueError, match="differ in shape"):
        masked_loss(kind, predicted, targets[:, 0])
