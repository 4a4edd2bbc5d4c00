import numpy as np
import pytest
import torch

from lightning_tasks import MultiLabelDataModule
from lightning_tasks.batch import TargetBatch
from lightning_tasks.errors import ConfigError
from lightning_tasks.tasks.multilabel.datamodule import mix


def flat_batch(n=6, size=16):
    """Image i is all 40·i, and its only label is i: what of it is where can be read off the pixels."""
    images = (torch.arange(n, dtype=torch.uint8) * 40).view(n, 1, 1, 1).expand(n, 3, size, size).clone()
    return TargetBatch(images.to(memory_format=torch.channels_last), torch.eye(n), torch.arange(n))


@pytest.mark.parametrize("seed", range(5))
def test_mixup_blends_targets_as_it_blends_pixels(seed):
    batch = flat_batch()
    mixed = mix(batch, mixup_alpha=1.0, cutmix_alpha=0.0, seed=seed)
    # An image of one value: the blend of values that its targets promise, rounded.
    expected = mixed.targets @ (torch.arange(6.0) * 40)
    assert mixed.images.dtype == torch.uint8
    assert (mixed.images.float() - expected.view(-1, 1, 1, 1)).abs().max() <= 0.5001
    torch.testing.assert_close(mixed.targets.sum(1), torch.ones(6))
    assert mixed.images.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("seed", range(5))
def test_cutmix_weighs_targets_by_the_pasted_area(seed):
    batch = flat_batch()
    mixed = mix(batch, mixup_alpha=0.0, cutmix_alpha=1.0, seed=seed)
    for i in range(6):
        for label in range(6):
            share = (mixed.images[i, 0] == label * 40).float().mean()
            assert float(mixed.targets[i, label]) == pytest.approx(float(share), abs=1e-6)


def test_the_same_seed_gives_the_same_mix_and_the_random_state_stays():
    before = torch.random.get_rng_state()
    first, second, other = (mix(flat_batch(), 0.4, 1.0, seed) for seed in (1, 1, 2))
    assert torch.equal(first.images, second.images)
    assert torch.equal(first.targets, second.targets)
    assert not torch.equal(first.targets, other.targets)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_with_both_each_batch_takes_one_way():
    kinds = set()
    for seed in range(20):
        values = mix(flat_batch(), 0.4, 1.0, seed).images[0, 0].unique()
        kinds.add("cut" if len(values) == 2 else "blend")
    assert kinds == {"cut", "blend"}


def test_the_batch_that_came_is_not_changed():
    batch = flat_batch()
    mix(batch, 1.0, 0.0, 3)
    mix(batch, 0.0, 1.0, 3)
    assert torch.equal(batch.images, flat_batch().images)
    assert np.array_equal(batch.targets.numpy(), np.eye(6))


def test_a_negative_alpha_is_told(tmp_path):
    with pytest.raises(ConfigError, match=r"data\.mixup_alpha -1"):
        MultiLabelDataModule(str(tmp_path), mixup_alpha=-1)


@pytest.mark.parametrize("alphas", [(1.0, 0.0), (0.0, 1.0)])
def test_what_is_ignored_in_one_of_two_images_is_ignored_in_their_mix(alphas):
    batch = flat_batch()
    batch.targets[2, 4] = -1
    mixed, plain = mix(batch, *alphas, seed=1), mix(flat_batch(), *alphas, seed=1)
    assert torch.equal(mixed.images, plain.images)
    # Image 2 stands in its own mix and in that of the next.
    assert (mixed.targets == -1).nonzero().tolist() == [[2, 4], [3, 4]]
    counted = mixed.targets != -1
    assert torch.equal(mixed.targets[counted], plain.targets[counted])
