"""The pass over the images: which features they are, and what makes others of them."""

from pathlib import Path

import albumentations as A
import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from lightning_tasks import MultiLabelClassifier, MultiLabelDataModule
from lightning_tasks.data.loading.dataset import EpochIndex
from lightning_tasks.data.transforms.compose import augment_image
from lightning_tasks.probe.feature_file import Shelf
from lightning_tasks.probe.features import extract_features
from tests.fakes import LABELS, write_image, write_multilabel


@pytest.fixture
def root(tmp_path):
    write_multilabel(tmp_path / "root", LABELS)
    return tmp_path / "root"


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return MultiLabelClassifier(["cat", "dog"], "test_resnet", (32, 32), head="linear")


def extract(root, model, views=2, precision="32-true", limit_gb=1.0, validation=True, **settings):
    settings = {"size": 32, "batch_size": 3, "num_workers": 0, **settings}
    datamodule = MultiLabelDataModule(root=str(root), **settings)
    trainer = pl.Trainer(accelerator="cpu", precision=precision, logger=False, enable_checkpointing=False,
                         enable_progress_bar=False, enable_model_summary=False)  # fmt: skip
    trainer.strategy.connect(model)
    trainer._data_connector.attach_data(model, datamodule=datamodule)
    datamodule.read_sets("fit")
    found = extract_features(trainer, model, datamodule, views, Shelf(root.parent / "kept", limit_gb), validation)
    return found, datamodule


def test_augmented_views_are_of_the_trainings_size_and_validation_may_be_left_out(root, model):
    sizes = []
    hook = model.backbone.register_forward_pre_hook(lambda _, args: sizes.append(args[0].shape[2]))
    try:
        found, _ = extract(root, model, views=3, size=64, train_size=32, validation=False)
        assert sizes[2:] == [64, 64, 32, 32, 32, 32]  # two batches each, after two of a trial
        assert (len(found.train), found.valid.shape) == (3, (0, model.backbone.num_features))
        other, _ = extract(root, model, views=3, size=64, validation=False)
        assert sizes[10:] == [64, 64, 64, 64]  # the first view is kept; those of another size are others
        assert (other.computed, other.unreadable) == (12, 0)
    finally:
        hook.remove()


@torch.no_grad()
def forward(model, image):
    return model.backbone.eval()(torch.from_numpy(image.copy()).permute(2, 0, 1)[None])[0].numpy()


def test_views_are_those_of_validation_and_of_the_trainings_epochs(root, model):
    model.train()
    found, datamodule = extract(root, model, views=3)
    assert model.backbone.training
    train, valid = datamodule.train_set, datamodule.valid_set
    assert [part.shape for part in (*found.train, found.valid)] == [(6, model.backbone.num_features)] * 3 + [
        (2, model.backbone.num_features)
    ]
    for row in range(6):
        plain = forward(model, augment_image(valid.transform, train.images[row].image, 0))
        assert found.train[0][row] == pytest.approx(plain, rel=2e-3, abs=1e-3)
        for epoch in (0, 1):
            augmented = forward(model, train[EpochIndex(epoch, row)].image)
            assert found.train[1 + epoch][row] == pytest.approx(augmented, rel=2e-3, abs=1e-3)
    assert not np.array_equal(found.train[1], found.train[2])
    for row in range(2):
        assert found.valid[row] == pytest.approx(forward(model, valid[row].image), rel=2e-3, abs=1e-3)


def test_nothing_is_mixed_and_training_stays_what_it_is(root, model):
    plain, _ = extract(root, model, limit_gb=0)
    mixed, datamodule = extract(root, model, limit_gb=0, mixup_alpha=1.0)
    assert all(np.array_equal(a, b) for a, b in zip(plain.train, mixed.train, strict=True))
    assert datamodule.trainer.state.stage is None  # as it was


def test_an_image_that_cannot_be_read_has_no_features(root, model):
    (root / "2.jpg").write_text("no image")
    found, _ = extract(root, model, on_bad_image="skip", max_bad_fraction=0.5)
    assert found.unreadable == 1
    assert [int(np.isnan(view).all(axis=1).nonzero()[0][0]) for view in found.train] == [2, 2]
    assert np.isfinite(np.delete(found.train[0], 2, axis=0)).all()


def test_a_batch_of_which_no_image_can_be_read_is_left_out(root, model):
    for row in range(3):
        (root / f"{row}.jpg").write_text("no image")
    found, _ = extract(root, model, on_bad_image="skip", max_bad_fraction=0.5)
    assert found.unreadable == 3
    assert np.isfinite(found.train[0][3:]).all()


def test_transforms_of_ones_own_decide_the_size(root, model):
    sizes = []
    hook = model.backbone.register_forward_pre_hook(lambda _, args: sizes.append(args[0].shape[2]))
    try:
        extract(
            root, model, train_transform=A.Compose([A.Resize(40, 40)]), valid_transform=A.Compose([A.Resize(48, 48)])
        )
    finally:
        hook.remove()
    assert sizes[2:] == [48, 48, 40, 40, 48]


def test_runs_share_them_and_more_views_need_the_new_ones_alone(root, model):
    assert extract(root, model)[0].computed == 2 * 6 + 2
    assert extract(root, model)[0].computed == 0
    assert extract(root, model, views=3, batch_size=4)[0].computed == 6
    assert extract(root, model, views=1)[0].computed == 0


CHANGES = {
    "seed": {"seed": 43},
    "size": {"size": 40},
    "crops": {"min_scale": 0.9},
    "flips": {"flip_p": 0.3},
    "validation's crop": {"val_xtra": 0.0},
    "decoded side": {"decode_side": 40},
    "white": {"white_level": 4095},
    "precision": {"precision": "bf16-mixed"},
    "bad images": {"on_bad_image": "skip", "max_bad_fraction": 0.5},
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_they_depend_on_makes_others(root, model, change):
    extract(root, model)
    assert extract(root, model, **CHANGES[change])[0].computed > 0
    assert extract(root, model)[0].computed == 0


def test_so_do_other_weights_statistics_and_files(root, model):
    def computed():
        return extract(root, model)[0].computed

    assert computed() == 14
    weight = next(model.backbone.parameters())
    mean = next(value for name, value in model.backbone.named_buffers() if name.endswith("running_mean"))
    for tensor in (weight, mean):
        kept = tensor.detach().clone()
        with torch.no_grad():
            tensor[(0,) * tensor.ndim] += 1e-3
        assert computed() == 14
        with torch.no_grad():
            tensor.copy_(kept)
        assert computed() == 0
    write_image(root / "7.jpg", seed=99)  # of the validation split
    assert computed() == 2
    Path(root / "0.jpg").touch()
    assert computed() == 12
