import albumentations as A
import numpy as np
import pytest
import torch
from pytorch_lightning import Trainer

from lightning_tasks import (
    BiwiDataModule,
    KeypointDataModule,
    MultiLabelClassifier,
    MultiLabelDataModule,
    PascalDataModule,
    PascalSampleDataModule,
)
from lightning_tasks.data.loading.dataset import EpochIndex
from lightning_tasks.errors import BackboneError, ConfigError, DatasetNotFoundError, TableError
from tests.fakes import write_multilabel, write_points

LABELS = ["fname,labels,is_valid", *(f"{i}.jpg,{'cat' if i % 2 else 'dog bird'},{i >= 6}" for i in range(8))]
POINTS = ["fname,group,l_x,l_y,r_x,r_y", *(f"{i}.jpg,g{i // 2},5,6,{9 + i},7" for i in range(8))]


def test_the_vocabulary_is_the_training_splits_sorted(tmp_path):
    write_multilabel(tmp_path, LABELS)
    data = MultiLabelDataModule(str(tmp_path), num_workers=0, batch_size=4, size=16)
    assert data.vocab == ["bird", "cat", "dog"]
    data.setup("fit")
    batch = next(iter(data.val_dataloader()))
    assert batch.targets.tolist() == [[1, 0, 1], [0, 1, 0]]
    assert next(iter(data.train_dataloader())).images.shape == (4, 3, 16, 16)
    assert "8 images, 6 training, 2 validation" in data.describe()


def test_a_label_only_validation_has_is_an_error(tmp_path):
    write_multilabel(tmp_path, [*LABELS[:-1], "7.jpg,cow,True"])
    with pytest.raises(TableError, match=r"row 9, column 'labels': the label 'cow'"):
        MultiLabelDataModule(str(tmp_path)).setup("fit")


def test_the_validation_rows_train_too_where_that_is_asked_for(tmp_path):
    write_multilabel(tmp_path, LABELS)
    data = MultiLabelDataModule(str(tmp_path), num_workers=0, batch_size=8, size=16, train_on_valid=True)
    data.setup("fit")
    assert len(data.train_set) == 8
    assert len(data.valid_set) == 2
    assert next(iter(data.train_dataloader())).targets.sum(0).tolist() == [4, 4, 4]
    assert "8 images, 8 training, 2 validation" in data.describe()
    (tmp_path / "labels.csv").write_text("\n".join([*LABELS[:-1], "7.jpg,cow,True"]))  # a label of validation alone
    assert "cow" in MultiLabelDataModule(str(tmp_path), train_on_valid=True).vocab


def test_training_begins_small_and_validates_at_full_size(tmp_path):
    write_multilabel(tmp_path, LABELS)
    data = MultiLabelDataModule(str(tmp_path), num_workers=0, batch_size=8, size=64, start_size=32)
    model = MultiLabelClassifier(data.vocab, "test_resnet", image_size=(64, 64))
    assert data.one_batch().images.shape[2:] == (64, 64)  # made in that size, not reduced to it
    seen = []
    model.backbone.register_forward_pre_hook(lambda module, args: seen.append((module.training, args[0].shape[2])))
    trainer = Trainer(
        accelerator="cpu", max_epochs=2, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, use_distributed_sampler=False,
    )  # fmt: skip
    trainer.fit(model, data)
    assert seen[0] == (False, 32)  # does the backbone take it?
    assert seen[1:] == [(True, 32), (False, 64), (True, 64), (False, 64)]


@pytest.mark.parametrize(("start", "trained"), [(None, [64, 64, 64]), (32, [32, 64, 64])])
def test_training_on_smaller_images_validates_at_full_size(tmp_path, start, trained):
    write_multilabel(tmp_path, LABELS)
    data = MultiLabelDataModule(str(tmp_path), num_workers=0, batch_size=8, size=80, train_size=64, start_size=start)
    model = MultiLabelClassifier(data.vocab, "test_resnet", image_size=(80, 80))
    seen = []
    model.backbone.register_forward_pre_hook(lambda module, args: seen.append((module.training, args[0].shape[2])))
    trainer = Trainer(
        accelerator="cpu", max_epochs=3, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=1, use_distributed_sampler=False,
    )  # fmt: skip
    trainer.fit(model, data)
    assert [size for training, size in seen if training] == trained
    assert [size for training, size in seen if not training][-4:] == [80] * 4  # before the first epoch too


@pytest.mark.parametrize("side", [0, -32, 48, 96])
def test_a_training_size_that_does_not_fit_is_refused(tmp_path, side):
    write_multilabel(tmp_path, LABELS)
    with pytest.raises(ConfigError, match=rf"data\.train_size is {side}; it must be a multiple of 32 up to data\.size"):
        MultiLabelDataModule(str(tmp_path), size=80, train_size=side)


def test_a_transform_of_ones_own_decides_the_size(tmp_path):
    write_multilabel(tmp_path, LABELS)
    own = A.Compose([A.Resize(48, 32)])
    data = MultiLabelDataModule(str(tmp_path), num_workers=0, batch_size=8, size=64, train_transform=own)
    model = MultiLabelClassifier(data.vocab, "test_resnet", image_size=(64, 64))
    seen = []
    model.backbone.register_forward_pre_hook(lambda _, args: seen.append(tuple(args[0].shape[2:])))
    trainer = Trainer(
        accelerator="cpu", max_epochs=1, limit_val_batches=0, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, use_distributed_sampler=False,
    )  # fmt: skip
    trainer.fit(model, data)
    assert seen == [(48, 32)]


@pytest.mark.parametrize("option", ["start_size", "train_size"])
def test_a_backbone_of_one_size_cannot_train_on_smaller_images(tmp_path, option):
    write_multilabel(tmp_path, LABELS)
    data = MultiLabelDataModule(str(tmp_path), num_workers=0, size=224, **{option: 96})
    model = MultiLabelClassifier(data.vocab, "vit_tiny_patch16_224", image_size=(224, 224))
    trainer = Trainer(accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False)
    with pytest.raises(BackboneError, match=rf"not also of 96×96 \(data\.{option}\)"):
        trainer.fit(model, data)


def test_a_given_vocabulary_is_kept(tmp_path):
    write_multilabel(tmp_path, LABELS)
    assert MultiLabelDataModule(str(tmp_path), vocab=["dog", "cat", "bird", "ant"]).vocab[3] == "ant"


def test_height_and_width_may_differ(tmp_path):
    write_multilabel(tmp_path, LABELS)
    data = MultiLabelDataModule(str(tmp_path), num_workers=0, batch_size=2, size=(16, 24))
    data.setup("fit")
    for loader in (data.train_dataloader(), data.val_dataloader()):
        assert next(iter(loader)).images.shape == (2, 3, 16, 24)


def test_a_separate_test_table(tmp_path):
    write_multilabel(tmp_path, LABELS)
    (tmp_path / "test.csv").write_text("fname,labels\n3.jpg,cat\n")
    data = MultiLabelDataModule(str(tmp_path), test_csv="test.csv", num_workers=0, size=16)
    data.setup("test")
    assert next(iter(data.test_dataloader())).targets.tolist() == [[0, 1, 0]]
    with pytest.raises(ConfigError, match="test_csv"):
        MultiLabelDataModule(str(tmp_path)).setup("test")


def test_a_splitter_from_python(tmp_path):
    write_multilabel(tmp_path, LABELS)
    data = MultiLabelDataModule(str(tmp_path), splitter=lambda t: (range(2, len(t)), [0, 1]))
    assert data.split[1].tolist() == [0, 1]


def test_a_missing_root_says_what_to_do(tmp_path):
    for made in (MultiLabelDataModule, KeypointDataModule, BiwiDataModule, PascalDataModule):
        with pytest.raises(DatasetNotFoundError, match=r"prepare.*--data\.root"):
            made(str(tmp_path / "none")).setup("fit")


def test_no_label_at_all_is_an_error(tmp_path):
    write_multilabel(tmp_path, ["fname,labels", "0.jpg,", "1.jpg,", "2.jpg,"])
    with pytest.raises(ConfigError, match="no image of the training split has a label"):
        _ = MultiLabelDataModule(str(tmp_path)).vocab


def test_points_are_split_by_group_and_batched(tmp_path):
    write_points(tmp_path, POINTS)
    data = KeypointDataModule(str(tmp_path), num_workers=0, batch_size=2, size=(24, 32), valid_fraction=0.3)
    data.setup("fit")
    groups = data.table["group"].to_numpy()
    train, valid = data.split
    assert not set(groups[train]) & set(groups[valid])
    assert len(valid) == 2
    assert next(iter(data.train_dataloader())).points_norm.shape == (2, 2, 2)
    assert "2 points (l, r)" in data.describe()


def flips(data):
    """Whether any of many drawn training images is mirrored: the two points' order in x tells."""
    data.setup("fit")
    samples = [data.train_set[EpochIndex(epoch, row)] for epoch in range(12) for row in range(len(data.train_set))]
    return any(sample.points_norm[0, 0] > sample.points_norm[1, 0] for sample in samples if sample.visible.all())


def test_several_points_are_mirrored_only_with_pairs(tmp_path):
    write_points(tmp_path, POINTS)
    settings = {"max_rotate_deg": 0.0, "max_warp": 0.0, "max_zoom": 1.0}
    assert not flips(KeypointDataModule(str(tmp_path), **settings))
    assert flips(KeypointDataModule(str(tmp_path), flip_p=0.5, **settings))
    # With the pair swapped, left stays left in every mirrored image.
    paired = KeypointDataModule(str(tmp_path), swap_pairs=[("l", "r")], **settings)
    assert not flips(paired)
    assert paired.train_transform is None
    with pytest.raises(ConfigError, match="'nose'"):
        KeypointDataModule(str(tmp_path), swap_pairs=[("l", "nose")]).setup("fit")


def test_a_test_table_must_have_the_same_points(tmp_path):
    write_points(tmp_path, POINTS)
    (tmp_path / "test.csv").write_text("fname,l_x,l_y\n3.jpg,1,2\n")
    with pytest.raises(TableError, match="its points are l, not l, r"):
        KeypointDataModule(str(tmp_path), test_csv="test.csv").setup("test")


def test_a_sample_is_drawn_once_and_alike_everywhere(tmp_path):
    data = PascalSampleDataModule(str(tmp_path / "s"))
    data.prepare_data()
    stamp = (tmp_path / "s" / "train.csv").stat().st_mtime_ns
    data.prepare_data()
    assert (tmp_path / "s" / "train.csv").stat().st_mtime_ns == stamp
    assert data.vocab == ["circle", "cross", "ring", "square", "triangle"]
    data.setup("fit")
    targets = torch.from_numpy(np.concatenate([data.train_set.targets, data.valid_set.targets]))
    assert (targets.sum(1) == 0).any()
    assert targets.sum(0).min() > 50
