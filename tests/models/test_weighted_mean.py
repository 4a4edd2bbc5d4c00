import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lightning_tasks.models.means import WeightedMean


@given(st.lists(st.tuples(st.floats(-10, 10), st.integers(1, 64)), min_size=1, max_size=20))
def test_it_is_the_weighted_mean(pairs):
    mean = WeightedMean()
    for value, weight in pairs:
        mean.update(torch.tensor(value), weight)
    values, weights = zip(*pairs, strict=True)
    assert float(mean.compute()) == pytest.approx(np.average(values, weights=weights), rel=1e-4, abs=1e-4)


def test_a_batch_of_nothing_changes_nothing_and_nothing_at_all_is_nan():
    mean = WeightedMean()
    assert mean.compute().isnan()
    mean.update(torch.tensor(2.0), 3)
    mean.update(torch.tensor(torch.nan), torch.tensor(0))
    assert float(mean.compute()) == 2
    mean.update(torch.tensor(torch.nan), 1)  # a loss that is NaN is not hidden
    assert mean.compute().isnan()
