"""The device's transforms beside the CPU's, on real-looking images: the same code runs on a GPU."""

from functools import partial

import albumentations as A
import numpy as np
import pytest
import torch
from pytorch_lightning import Trainer

from lightning_tasks import KeypointDataModule, MultiLabelClassifier, MultiLabelDataModule
from lightning_tasks.data.images.cache import CacheSettings, ImageStore, open_cache
from lightning_tasks.data.loading.dataset import EpochIndex, TargetDataset, collate_planned, collate_targets
from lightning_tasks.data.tables.paths import Paths
from lightning_tasks.data.transforms.compose import check_plannable, compose_points, plan_image
from lightning_tasks.data.transforms.geometry import (
    JointWarp,
    LogitLighting,
    crop_train,
    crop_valid,
    geometry_and_lighting,
    resize_only,
)
from lightning_tasks.data.transforms.on_device import DeviceImages
from lightning_tasks.errors import ConfigError
from lightning_tasks.tasks.keypoints.dataset import KeypointDataset, collate_keypoints
from tests.data.test_cache import smooth
from tests.fakes import LABELS, POINTS, write_multilabel, write_points

SIZES = [(64, 90), (90, 64), (64, 64), (64, 200), (40, 40)]


@pytest.fixture
def images(tmp_path):
    names = [f"{i}.png" for i in range(len(SIZES))]
    for name, size in zip(names, SIZES, strict=True):
        smooth(tmp_path / name, size)
    paths = Paths(tmp_path, names)
    cache = open_cache("p", paths, 64, CacheSettings("disk", str(tmp_path / "c"), 1.0), progress=False).cache
    return ImageStore(paths, 64, cache=cache, slots=np.arange(len(names)))


def both_ways(make, collate, size):
    """The batches of some epochs, made by the CPU and on the device; `make` takes whether it is there."""
    on_cpu, on_device = make(on_device=False), make(on_device=True)
    for epoch in range(6):
        keys = [EpochIndex(epoch, row) for row in range(len(on_cpu))]
        planned = collate_planned(collate, [on_device[key] for key in keys])
        images = DeviceImages(on_device.images.cache, torch.device("cpu"), size).render(planned.planned)
        yield collate([on_cpu[key] for key in keys]), planned.batch._replace(images=images)


def difference(a, b):
    return (a.images.int() - b.images.int()).abs().float()


@pytest.mark.parametrize(
    "transform",
    [crop_train((32, 32)), crop_train((32, 32), flip_p=0.5), crop_valid((32, 32)), crop_valid((32, 40), val_xtra=0)],
    ids=["train", "mirrored", "valid", "whole"],
)
def test_crops_agree(images, transform):
    make = partial(TargetDataset, images, np.eye(len(SIZES), 3, dtype=np.float32), transform, 0)
    for a, b in both_ways(make, collate_targets, transform.transforms[0].size):
        assert b.images.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(a.targets, b.targets)
        assert difference(a, b).max() <= 2


_TRAIN = compose_points(geometry_and_lighting((32, 40)))


@pytest.mark.parametrize("transform", [_TRAIN, compose_points(resize_only((32, 40)))], ids=["train", "valid"])
def test_warps_lighting_and_points_agree(images, transform):
    points = np.random.default_rng(0).uniform(0, 60, (len(SIZES), 3, 2)).astype(np.float32)
    points[0, 1] = np.nan
    points[1] = 200  # outside
    make = partial(KeypointDataset, images, points, transform, 0, keep_outside=transform is not _TRAIN)
    for a, b in both_ways(make, collate_keypoints, (32, 40)):
        torch.testing.assert_close(a.points_norm, b.points_norm, atol=1e-4, rtol=0)
        assert torch.equal(a.visible, b.visible)
        assert torch.equal(a.original_size_px, b.original_size_px)
        assert difference(a, b).mean() < 0.6
        assert difference(a, b).max() <= 8  # OpenCV places samples on 1/32 of a pixel


def fit(data, model, **more):
    trainer = Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, use_distributed_sampler=False, **more,
    )  # fmt: skip
    trainer.fit(model, data)
    return trainer


def test_a_run_takes_its_images_from_the_device(tmp_path):
    write_multilabel(tmp_path, LABELS)
    seen = []

    class Watched(MultiLabelClassifier):
        def _shared_step(self, batch):
            seen.append((tuple(batch.images.shape), batch.images.dtype))
            return super()._shared_step(batch)

    data = MultiLabelDataModule(str(tmp_path), size=16, batch_size=4, num_workers=0, device_cache=True)
    fit(data, Watched(["cat", "dog"], "test_resnet", image_size=(16, 16)))
    assert data.loading.device_images is not None
    assert set(seen) == {((4, 3, 16, 16), torch.uint8), ((2, 3, 16, 16), torch.uint8)}
    assert "copied to cpu" in data.loading.note


def test_what_the_device_cannot_do_is_told(tmp_path):
    write_points(tmp_path, POINTS)
    own = A.Compose([A.Resize(16, 16)])
    write_multilabel(tmp_path, LABELS)
    for data, message in (
        (MultiLabelDataModule(str(tmp_path), size=16, train_transform=own, decode_side=32), "not Resize"),
        (MultiLabelDataModule(str(tmp_path), size=8, decode_side=0), "samples bilinearly"),
        (KeypointDataModule(str(tmp_path), size=8, cache_limit_gb=1e-9), "exceed data.cache_limit_gb"),
    ):
        data.device_cache = True
        data.num_workers, data.batch_size = 0, 2
        with pytest.raises(ConfigError, match=message):
            fit(data, MultiLabelClassifier(["cat", "dog"], "test_resnet", image_size=(16, 16)))


def test_a_plan_is_what_its_steps_do_one_after_the_other(images):
    """Two warps and two lightings: the device does them at once, and the points end where the pixels do."""
    steps = [JointWarp((48, 64), flip_p=1, swap_pairs=[(0, 1)]), LogitLighting(), JointWarp((32, 40)), LogitLighting()]
    points = np.array([[[10, 20], [30, 25]]] * len(SIZES), np.float32)
    make = partial(KeypointDataset, images, points, compose_points(steps), 3)
    for a, b in both_ways(make, collate_keypoints, (32, 40)):
        torch.testing.assert_close(a.points_norm, b.points_norm, atol=1e-4, rtol=0)
        assert torch.equal(a.visible, b.visible)
        assert difference(a, b).mean() < 6  # of a second interpolation, which the device has not


def test_a_step_of_ones_own_may_plan():
    class Darker(A.ImageOnlyTransform):
        def plan(self, plan):
            return plan.light(-1.0, 1.0)

    check_plannable(A.Compose([Darker(p=1)]))
    plan = plan_image(A.Compose([Darker(p=1), Darker(p=1)]), 4, (20, 30), 0)
    assert (plan.slot, plan.size, plan.brightness, plan.contrast) == (4, (20, 30), -2.0, 1.0)
    assert (plan.to_source == np.eye(3)).all()
