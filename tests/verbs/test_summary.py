import re
from pathlib import Path

import albumentations as A
import pytest
import torch

from lightning_tasks import KeypointDataModule, MultiLabelDataModule
from lightning_tasks.__main__ import console
from lightning_tasks.errors import ConfigError, ImageError
from lightning_tasks.verbs.summary import summary
from tests.fakes import write_multilabel, write_points

CONF = Path(__file__).parents[2] / "conf"
LABELS = ["fname,labels,is_valid", *(f"{i}.jpg,{'cat' if i % 2 else 'dog cat' * (i > 0)},{i >= 5}" for i in range(8))]
POINTS = ["fname,is_valid,l_x,l_y,r_x,r_y", *(f"{i}.jpg,{i >= 6},{5 + i},6,{',' if i else '9,7'}" for i in range(8))]
CPU = torch.device("cpu")


def test_labels_are_counted_and_a_sample_is_followed(tmp_path):
    write_multilabel(tmp_path, LABELS)
    text = summary(MultiLabelDataModule(str(tmp_path), size=16, num_workers=0), CPU)
    assert "8 images, 5 training, 3 validation" in text
    assert re.search(r"cat +4 +3\n", text)
    assert re.search(r"dog +2 +1\n", text)
    assert re.search(r"no label +1 +0\n", text)
    assert re.search(r"one sample: .*0\.jpg\n +decode +\(24, 32, 3\) +uint8", text)
    assert re.search(r"transform +\(16, 16, 3\) +uint8", text)
    assert re.search(r"target +\(2,\) +float32 +0 to 0: no label", text)
    assert len(re.findall(r"images +\(4, 3, 16, 16\) +uint8", text)) == 2
    assert "on the device (cpu)" in text


def test_points_are_counted_and_a_sample_is_followed(tmp_path):
    write_points(tmp_path, POINTS)
    text = summary(KeypointDataModule(str(tmp_path), size=(16, 20), num_workers=0), CPU)
    assert re.search(r"l +8 +5 to 12 +6 to 6\n", text)
    assert re.search(r"r +1 +9 to 9 +7 to 7\n", text)
    assert re.search(r"points +\(2, 2\) +float32 +5 to 9 px", text)
    assert re.search(r"scale +\(2, 2\) +float32 .* norm, [012] of 2 visible", text)
    assert re.search(r"points_norm +\(4, 2, 2\) +float32", text)


class Broken(A.ImageOnlyTransform):
    def apply(self, img, **params):
        raise ZeroDivisionError("no way")


def test_a_failing_step_is_named_with_its_sample(tmp_path):
    write_multilabel(tmp_path, LABELS)
    broken = MultiLabelDataModule(str(tmp_path), train_transform=A.Compose([Broken(p=1)]), num_workers=0)
    with pytest.raises(ConfigError, match=r"The step 'transform' failed for .*0\.jpg: ZeroDivisionError: no way"):
        summary(broken, CPU)
    uneven = MultiLabelDataModule(str(tmp_path), train_transform=A.Compose([A.RandomScale(p=1)]), num_workers=0)
    with pytest.raises(ConfigError, match=r"The step 'collate' failed for .*0\.jpg, .*3\.jpg: ValueError"):
        summary(uneven, CPU)
    (tmp_path / "2.jpg").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"2\.jpg"):
        summary(MultiLabelDataModule(str(tmp_path), size=16, num_workers=0), CPU)


def test_the_verb(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_points(Path("points"), POINTS)
    config = ["--config", str(CONF / "keypoints.yaml"), "--trainer.accelerator", "cpu"]
    assert console(["summary", *config, "--data.root", "points"]) == 0
    assert "a batch of 4" in capsys.readouterr().out
    assert console(["summary", "--model", "tests.own_classes.OwnModel", "--data", "tests.own_classes.OwnData"]) == 2
    assert "OwnData is of none of the tasks" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["points"]
