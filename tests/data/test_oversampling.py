"""Rare labels shown more often: who, how often, and the same whatever the number of processes."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lightning_tasks import KeypointDataModule, MultiLabelDataModule
from lightning_tasks.data.loading.dataset import EpochSampler
from lightning_tasks.data.loading.oversampling import repeat_factors
from lightning_tasks.errors import ConfigError, LightningTasksWarning
from lightning_tasks.tasks.split_predictions import loader_of
from tests.fakes import POINTS, write_multilabel, write_points

SMALL = {"size": 16, "num_workers": 0, "batch_size": 2, "cache": "none"}
FACTORS = np.array([1.0, 3.0, 1.0, 1.5, 1.0, 1.0, 1.0, 2.25, 1.0, 1.0])  # expected: 10 / 13.75 of each


def sampler(rank=0, world_size=1, factors=FACTORS, seed=0):
    return EpochSampler(len(factors), shuffle=True, seed=seed, rank=rank, world_size=world_size, repeat_factors=factors)


def epochs(made, n):
    for epoch in range(n):
        made.set_epoch(epoch)
        yield list(made)


def test_factors_are_those_of_lvis():
    # Of eight training rows, four have class 0, two class 1, one class 2; row 9, which has it too, is not for training.
    rows = np.array([0, 1, 2, 3, 4, 5, 6, 8])
    strata = np.array([[0, 0], [1, 0], [2, 0], [3, 0], [3, 1], [4, 1], [5, 2], [9, 2]])
    by_hand = [1, 1, 1, np.sqrt(0.5 / 0.25), np.sqrt(0.5 / 0.25), np.sqrt(0.5 / 0.125), 1, 1]
    np.testing.assert_allclose(repeat_factors(strata, rows, 0.5), by_hand)
    np.testing.assert_allclose(repeat_factors(strata, rows, 0.25), [1, 1, 1, 1, 1, np.sqrt(2), 1, 1])
    assert (repeat_factors(strata, rows, 0.125) == 1).all()


def test_an_image_appears_as_often_as_its_factor_says():
    counts = np.zeros(10)
    for keys in epochs(sampler(), 2000):
        assert len(keys) == 10
        counts += np.bincount([key.row for key in keys], minlength=10)
    expected = FACTORS * 10 / FACTORS.sum()
    np.testing.assert_allclose(counts / 2000, expected, atol=0.03)


@given(st.lists(st.floats(1, 40), min_size=1, max_size=30), st.integers(0, 99))
def test_no_epoch_is_far_from_what_is_expected(factors, seed):
    factors = np.array(factors)
    made = sampler(factors=factors, seed=seed)
    expected = factors * len(factors) / factors.sum()
    for keys in epochs(made, 3):
        counts = np.bincount([key.row for key in keys], minlength=len(factors))
        assert counts.sum() == len(made) == len(factors)
        assert (np.abs(counts - expected) < 1 + 1e-6).all()  # rounded up, or down
        assert len(set(keys)) == len(keys)  # each appearance of an image is another key


def test_the_draw_is_a_function_of_seed_and_epoch():
    first, again, other = list(epochs(sampler(), 3)), list(epochs(sampler(), 3)), list(epochs(sampler(seed=1), 3))
    assert first == again
    assert first[0] != first[1]
    assert first[0] != other[0]


@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_share_the_draw_of_one(world_size):
    for epoch in range(3):
        parts = []
        for rank in range(world_size):
            made = sampler(rank, world_size)
            made.set_epoch(epoch)
            parts.append(list(made))
            assert len(parts[-1]) == len(made) == 10 // world_size
        alone = sampler()
        alone.set_epoch(epoch)
        together = [key for keys in zip(*parts, strict=True) for key in keys]
        assert together == list(alone)[: len(together)]


def test_a_resumed_epoch_is_the_rest_of_the_draw():
    whole = list(epochs(sampler(), 3))
    resumed = sampler()
    resumed.resume(1, 4)
    assert list(resumed) == whole[1][4:]
    resumed.set_epoch(2)
    assert list(resumed) == whole[2]


RARE = ["fname,labels,is_valid", *(f"{i}.jpg,{'cat rare' if i == 0 else 'cat'},{i >= 6}" for i in range(8))]


def test_an_image_that_is_shown_twice_is_augmented_twice(tmp_path):
    write_multilabel(tmp_path, RARE)
    data = MultiLabelDataModule(str(tmp_path), oversample_threshold=1.0, **SMALL)
    data.setup("fit")
    loader = data.train_dataloader()
    found = []
    for epoch in range(6):
        loader.sampler.set_epoch(epoch)
        batches = list(loader)
        rows = torch.cat([batch.rows for batch in batches]).tolist()
        images = torch.cat([batch.images for batch in batches])[[row == 0 for row in rows]]
        assert len(rows) == 6
        found.append(len(images))
        assert all((a != b).any() for i, a in enumerate(images) for b in images[:i])
    assert sum(found) / 6 > 1.5  # √6 of 6 + √6 − 1 shares of six: 1.97
    plain = MultiLabelDataModule(str(tmp_path), **SMALL)
    plain.setup("fit")
    assert sorted(torch.cat([batch.rows for batch in plain.train_dataloader()]).tolist()) == list(range(6))


def test_predictions_of_the_training_split_are_of_each_image_once(tmp_path):
    write_multilabel(tmp_path, RARE)
    data = MultiLabelDataModule(str(tmp_path), oversample_threshold=1.0, **SMALL)
    assert sorted(torch.cat([batch.rows for batch in loader_of(data, "train")]).tolist()) == list(range(6))


def test_points_that_only_some_images_have_are_shown_more_often(tmp_path):
    lines = [
        POINTS[0],
        *(line.replace(f",{9 + i},7", ",,") if 0 < i < 6 else line for i, line in enumerate(POINTS[1:])),
    ]
    write_points(tmp_path, lines)
    data = KeypointDataModule(str(tmp_path), oversample_threshold=0.9, **SMALL)
    data.setup("fit")
    shown = [int(row) for keys in epochs(data.train_dataloader().sampler, 20) for row in [key.row for key in keys]]
    assert shown.count(0) > 1.5 * 20


def test_nothing_to_show_more_often_is_told(tmp_path):
    write_multilabel(tmp_path / "labels", RARE)
    data = MultiLabelDataModule(str(tmp_path / "labels"), oversample_threshold=0.1, **SMALL)
    data.setup("fit")
    with pytest.warns(LightningTasksWarning, match=r"data\.oversample_threshold 0\.1: the rarest is in 0\.167 of"):
        data.train_dataloader()
    write_points(tmp_path / "points", POINTS)
    points = KeypointDataModule(str(tmp_path / "points"), oversample_threshold=0.1, **SMALL)
    points.setup("fit")
    with pytest.raises(ConfigError, match=r"data\.oversample_threshold 0\.1: nothing here is in some images"):
        points.train_dataloader()


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_a_threshold_is_a_share(tmp_path, value):
    with pytest.raises(ConfigError, match=r"data\.oversample_threshold is .*share"):
        MultiLabelDataModule(str(tmp_path), oversample_threshold=value, **SMALL)
