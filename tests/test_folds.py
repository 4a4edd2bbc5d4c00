"""What a cross-validation's folder keeps of each fold, and what is read of it again."""

from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch

from lightning_tasks.errors import CheckpointError, ConfigError
from lightning_tasks.folds import Fold, fold_folder, read_fold, read_out_of_fold, save_fold, with_table_rows
from lightning_tasks.tasks.keypoints.predictions import PointPredictions
from lightning_tasks.tasks.multiclass.task import ClassPredictions
from lightning_tasks.tasks.multilabel.predictions import LabelPredictions
from lightning_tasks.tasks.values.predictions import ValuePredictions
from tests.fakes import label_predictions

N = 6
VOCAB = ["cat", "dog"]


def labels(kind=LabelPredictions, **more):
    draw = torch.Generator().manual_seed(0)
    probabilities = torch.rand(N, 2, generator=draw)
    targets = torch.eye(2)[torch.arange(N) % 2]
    return label_predictions(
        probabilities, targets, VOCAB, paths=[Path(f"{i}.jpg") for i in range(N)], kind=kind, **more
    )


def points():
    draw = torch.Generator().manual_seed(0)
    first, second = torch.rand(2, N, 3, 2, generator=draw)
    return PointPredictions(
        rows=torch.arange(N),
        paths=tuple(Path(f"{i}.jpg") for i in range(N)),
        groups=tuple("aabbcc"),
        point_names=["a", "b", "c"],
        points_norm=first,
        targets_norm=second,
        visible=torch.rand(N, 3, generator=draw) > 0.3,
        original_size_px=torch.full((N, 2), 64.0),
        points_px=first * 64,
        targets_px=second * 64,
    )


def values():
    draw = torch.Generator().manual_seed(0)
    first, second, mean = torch.rand(3, N, 2, generator=draw)
    return ValuePredictions(
        rows=torch.arange(N), paths=tuple(Path(f"{i}.jpg") for i in range(N)), groups=(), names=["age", "weight"],
        predicted=first, targets=second, mean=mean, std=mean + 1, median=mean,
    )  # fmt: skip


EACH = [labels, lambda: labels(ClassPredictions), points, values]
PARTS = [torch.tensor([4, 1]), torch.tensor([0, 5]), torch.tensor([2, 3])]


def same(one, other):
    assert type(one) is type(other)
    for field in fields(one):
        a, b = getattr(one, field.name), getattr(other, field.name)
        assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b, field.name
    return True


@pytest.mark.parametrize("make", EACH)
def test_folds_are_read_again_in_the_tables_order(make, tmp_path):
    whole = make()
    for number, rows in enumerate(PARTS):
        part = replace(whole.take(rows), rows=torch.arange(2))  # as a split has them
        save_fold(tmp_path, Fold(number, 3, with_table_rows(part, rows.tolist()), None, ("val/mAP", 0.5)))
    assert read_fold(tmp_path, 1).best == ("val/mAP", 0.5)
    read = read_out_of_fold(tmp_path)
    assert same(read, whole)
    assert read.headline() == pytest.approx(whole.headline(), nan_ok=True)
    assert torch.allclose(read.losses(), whole.losses(), equal_nan=True)


def test_thresholds_that_differ_are_averaged_and_what_is_predicted_stays():
    one, other = labels(), labels(thresholds=torch.tensor([0.1, 0.9]))
    both = LabelPredictions.concatenate([one, other])
    assert torch.allclose(both.thresholds, torch.tensor([0.3, 0.7]))
    assert torch.equal(both.predicted, torch.cat([one.predicted, other.predicted]))


def test_predictions_of_other_labels_are_not_put_together():
    with pytest.raises(ConfigError, match="their vocab differ"):
        LabelPredictions.concatenate([labels(), replace(labels(), vocab=["dog", "cat"])])


def test_each_image_is_held_against_the_constants_of_its_own_fold():
    found = values()
    wanted = (found.mean - found.targets).square().mean(0).sqrt()
    for number, name in enumerate(found.names):
        assert found.scores()[name].rmse_baseline == pytest.approx(float(wanted[number]), rel=1e-6)


def test_what_is_not_finished_is_told(tmp_path):
    with pytest.raises(CheckpointError, match="there is no fold_0 in it"):
        read_out_of_fold(tmp_path)
    fold_folder(tmp_path, 0).mkdir()
    with pytest.raises(CheckpointError, match="fold 0 is not trained yet"):
        read_out_of_fold(tmp_path)
    save_fold(tmp_path, Fold(0, 2, labels()))
    with pytest.raises(CheckpointError, match="fold 1 is not trained yet"):
        read_out_of_fold(tmp_path)
    (fold_folder(tmp_path, 0) / "fold_predictions.pt").write_bytes(b"half")
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_out_of_fold(tmp_path)


def test_a_name_that_is_no_utf8_comes_back(tmp_path):
    odd = Path("caf\udce9.jpg")
    save_fold(tmp_path, Fold(0, 1, replace(labels(), paths=(odd,) * N)))
    assert read_out_of_fold(tmp_path).paths[0] == odd
