import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from lightning_tasks.data.images.cache import ImageStore
from lightning_tasks.data.loading.dataloader import default_workers, make_loader
from lightning_tasks.data.loading.dataset import EpochIndex, EpochSampler, TargetDataset, collate_targets
from lightning_tasks.data.transforms.compose import compose_points
from lightning_tasks.data.transforms.geometry import crop_train, geometry_and_lighting, resize_only
from lightning_tasks.tasks.keypoints.dataset import KeypointDataset, collate_keypoints
from tests.fakes import write_image


@pytest.fixture
def paths(tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(7)]
    for i, path in enumerate(paths):
        write_image(path, size=(30 + i, 40), seed=i)
    return paths


def labels(paths, seed=1):
    return TargetDataset(ImageStore(paths), np.eye(7, 3, dtype=np.float32), crop_train((16, 16)), seed)


def loader(dataset, workers=0, training=True, batch_size=3):
    return make_loader(
        dataset,
        collate_targets,
        n=len(dataset),
        training=training,
        batch_size=batch_size,
        num_workers=workers,
        seed=1,
        rank=0,
        world_size=1,
    )


def test_augmentation_and_order_do_not_depend_on_the_number_of_workers(paths):
    runs = []
    for workers in (0, 1, 2):
        batches = []
        made = loader(labels(paths), workers)
        for epoch in (0, 1):
            made.sampler.set_epoch(epoch)
            batches += list(made)
        runs.append(batches)
    for other in runs[1:]:
        assert len(other) == len(runs[0]) == 4
        for a, b in zip(runs[0], other, strict=True):
            assert torch.equal(a.images, b.images)
            assert torch.equal(a.rows, b.rows)
            assert torch.equal(a.targets, b.targets)


def test_another_epoch_or_seed_augments_otherwise(paths):
    dataset = labels(paths)
    first = dataset[EpochIndex(0, 2)].image
    np.testing.assert_array_equal(first, dataset[2].image)
    assert (first != dataset[EpochIndex(1, 2)].image).any()
    assert (first != labels(paths, seed=2)[2].image).any()


def test_training_is_shuffled_and_drops_the_last_batch_validation_neither(paths):
    made = loader(labels(paths))
    orders = []
    for epoch in (0, 1):
        made.sampler.set_epoch(epoch)
        orders.append(torch.cat([batch.rows for batch in made]).tolist())
    assert [len(order) for order in orders] == [6, 6]
    assert orders[0] != orders[1]
    assert torch.cat([b.rows for b in loader(labels(paths), training=False)]).tolist() == list(range(7))


def test_a_split_smaller_than_a_batch_still_trains(paths):
    assert len(loader(labels(paths), batch_size=64)) == 1


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_processes_share_an_epoch(world_size):
    def share(rank, shuffle):
        return EpochSampler(10, shuffle=shuffle, seed=0, rank=rank, world_size=world_size)

    training = [[key.row for key in share(rank, True)] for rank in range(world_size)]
    assert {len(part) for part in training} == {10 // world_size}
    assert len({index for part in training for index in part}) == 10 // world_size * world_size
    validation = [[key.row for key in share(rank, False)] for rank in range(world_size)]
    assert sorted(index for part in validation for index in part) == list(range(10))
    assert [len(part) for part in validation] == [len(share(rank, False)) for rank in range(world_size)]


def test_a_multilabel_batch_has_its_shapes(paths):
    batch = next(iter(loader(labels(paths))))
    assert batch.images.shape == (3, 3, 16, 16)
    assert batch.images.dtype == torch.uint8
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    assert batch.targets.shape == (3, 3)
    assert batch.targets.dtype == torch.float32


def test_a_keypoint_batch_has_its_shapes_and_no_nan(paths):
    points = np.tile(np.array([[4, 5], [np.nan, np.nan], [500, 5]], np.float32), (7, 1, 1))
    dataset = KeypointDataset(ImageStore(paths), points, compose_points(geometry_and_lighting((24, 32))), 0)
    batch = next(iter(DataLoader(dataset, 4, collate_fn=collate_keypoints)))
    assert batch.images.shape == (4, 3, 24, 32)
    assert batch.points_norm.shape == (4, 3, 2)
    assert batch.visible.shape == (4, 3)
    assert not batch.visible[:, 1:].any()
    assert (batch.points_norm[~batch.visible] == 0).all()
    assert batch.original_size_px.tolist() == [[40, 30], [40, 31], [40, 32], [40, 33]]


def test_points_outside_the_image_are_kept_where_they_are_to_be_scored(paths):
    points = np.tile(np.array([[4, 5], [np.nan, np.nan], [-20.5, 44.5]], np.float32), (7, 1, 1))
    masked, kept = (
        KeypointDataset(ImageStore(paths), points, compose_points(resize_only((60, 80))), 0, keep_outside=keep)[0]
        for keep in (False, True)
    )
    assert masked.visible.tolist() == [True, False, False]
    assert kept.visible.tolist() == [True, False, True]
    # −20 of the 40 pixels from the left edge, 45 of the 30 from the upper one; half a pixel of 80×60 further
    np.testing.assert_allclose(kept.points_norm[2], [-2 - 1 / 80, 2 - 1 / 60], atol=1e-6)
    assert kept.points_norm[1].tolist() == [0, 0]


def test_validation_points_are_the_scaled_annotation(paths):
    points = np.full((7, 1, 2), (19.5, 14.5), np.float32)  # the middle of 40×30, between four pixels
    sample = KeypointDataset(ImageStore(paths), points, compose_points(resize_only((60, 80))), 0)[0]
    middle = (np.array([39.5, 29.5]) * 2 / (80, 60) - 1).astype(np.float32)
    np.testing.assert_allclose(sample.points_norm[0], middle, atol=1e-6)


@pytest.mark.parametrize(
    ("cores", "on_gpu", "processes", "workers"),
    [
        (1, False, 1, 0),
        (2, False, 1, 0),
        (4, False, 1, 1),
        (16, False, 1, 2),
        (16, False, 8, 0),
        (4, True, 1, 4),
        (64, True, 4, 8),
        (2, True, 4, 1),
    ],
)
def test_workers_are_as_many_as_the_device_needs(cores, on_gpu, processes, workers, monkeypatch):
    monkeypatch.setattr("lightning_tasks.data.loading.dataloader.usable_cores", lambda: cores)

    assert default_workers(on_gpu, processes) == workers
