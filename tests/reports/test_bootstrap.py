"""Bootstrap intervals, by scipy's own and by what a known distribution has."""

import numpy as np
import pytest
import scipy.stats
import torch

from lightning_tasks.errors import ConfigError
from lightning_tasks.reports.bootstrap import bootstrap, check_level, interval, intervals_of, resample_counts


def mean_of(values):
    return lambda counts: {"mean": values @ counts.double() / counts.double().sum(0)}


def test_a_worked_interval():
    """Of 1 to 99, half of them below 50, the middle 90 of 100 lie where quantiles .05 and .95 do."""
    assert interval(50.0, torch.arange(1.0, 100.0), 0.9) == pytest.approx((50.0, 5.9, 94.1))
    known = torch.cat([torch.arange(1.0, 100.0), torch.tensor([torch.nan])])
    assert interval(50.0, known, 0.9) == pytest.approx((50.0, 5.9, 94.1))
    assert np.isnan(interval(0.5, torch.full((3,), torch.nan))[1:]).all()
    assert np.isnan(interval(torch.nan, torch.arange(9.0))).all()
    assert interval(1.0, torch.ones(9)) == (1.0, 1.0, 1.0)


def test_the_interval_of_a_mean_is_scipys():
    values = np.random.default_rng(0).normal(size=300) * 2 + 5
    found = intervals_of(mean_of(torch.from_numpy(values)), len(values)).scores["mean"]
    wanted = scipy.stats.bootstrap((values,), np.mean, n_resamples=4000, method="BCa", rng=1)
    assert found.value == pytest.approx(values.mean())
    width = wanted.confidence_interval.high - wanted.confidence_interval.low
    assert found[1:] == pytest.approx(tuple(wanted.confidence_interval), abs=0.08 * width)


def test_it_covers_what_it_says():
    """Of 300 samples of 60 numbers, the interval of level .9 of their mean holds the true one in some 90 of 100."""
    generator = torch.Generator().manual_seed(5)
    held = 0
    for _ in range(300):
        values = torch.randn(60, generator=generator, dtype=torch.float64).exp()  # skewed; its mean is sqrt(e)
        resampled = bootstrap(mean_of(values), 60, resamples=300)["mean"]
        low, high = interval(float(values.mean()), resampled, 0.9)[1:]
        held += low <= np.exp(0.5) <= high
    assert 0.82 <= held / 300 <= 0.93


def test_images_are_drawn_with_replacement_and_the_same_each_time(monkeypatch):
    counts = torch.cat(list(resample_counts(50, resamples=40)), 1)
    assert counts.shape == (50, 40)
    assert (counts.sum(0) == 50).all()
    assert counts.var() == pytest.approx(1, abs=0.1)  # of 50 draws with the chance 1 / 50
    monkeypatch.setattr("lightning_tasks.reports.bootstrap._COUNTS_AT_ONCE", 7 * 50)
    assert torch.equal(torch.cat(list(resample_counts(50, resamples=40)), 1), counts)  # however many at once
    assert not torch.equal(next(resample_counts(50, resamples=7, seed=1)), counts[:, :7])


def test_groups_are_drawn_whole():
    groups = ["ann", "bob", "ann", "cy", "bob", "ann"]
    counts = next(resample_counts(6, groups, resamples=30))
    assert torch.equal(counts[0], counts[2])
    assert torch.equal(counts[1], counts[4])
    assert (counts[0] + counts[1] + counts[3] == 3).all()


def test_alike_images_of_groups_tell_less():
    generator = torch.Generator().manual_seed(0)
    person = torch.randn(30, generator=generator, dtype=torch.float64).repeat_interleave(20)
    values = person + 0.2 * torch.randn(600, generator=generator, dtype=torch.float64)
    by_image = intervals_of(mean_of(values), 600).scores["mean"]
    groups = [str(i // 20) for i in range(600)]
    by_group = intervals_of(mean_of(values), 600, groups).scores["mean"]
    assert by_group.value == by_image.value
    assert by_group.high - by_group.low > 3 * (by_image.high - by_image.low)  # some √20 times as wide
    other = [str(i % 30) for i in range(600)]  # groups in name alone
    by_lot = intervals_of(mean_of(values), 600, other).scores["mean"]
    assert by_lot.high - by_lot.low < 1.5 * (by_image.high - by_image.low)


def test_few_groups_and_one_are_told():
    values = torch.arange(6, dtype=torch.float64)
    two = intervals_of(mean_of(values), 6, ["a", "a", "b", "b", "b", "b"])
    assert "2 groups" in two.lines()[0]
    assert "Only 2 groups" in two.lines()[1]
    one = intervals_of(mean_of(values), 6, ["a"] * 6)
    assert "single group" in one.lines()[1]
    assert np.isnan(one.scores["mean"][1:]).all()
    assert len(intervals_of(mean_of(values), 6).lines()) == 1


@pytest.mark.parametrize("level", [0.0, 1.0, -0.5, 95.0, 300.0, float("nan")])
def test_a_level_that_is_no_share_is_refused(level):
    with pytest.raises(ConfigError, match=r"--ci is .*between 0 and 1.*" + (r"0\.95\." if level == 95 else "")):
        check_level(level)
