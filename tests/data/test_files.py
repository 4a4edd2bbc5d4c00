"""A table's names do not lead out of its data."""

import os

import numpy as np
import pytest

from lightning_tasks import KeypointDataModule, MultiLabelDataModule
from lightning_tasks.__main__ import console
from lightning_tasks.data.tables.file_checks import Confines
from lightning_tasks.errors import DatasetNotFoundError, TableError
from tests.fakes import FLAGS, POINTS, write_image, write_multilabel, write_points


@pytest.fixture
def outside(tmp_path):
    """An image beside the data's root, which holds three ways to it."""
    write_image(tmp_path / "secret" / "0.jpg")
    write_multilabel(tmp_path / "root", ["fname,labels"], n_images=4)
    (tmp_path / "root" / "link.jpg").symlink_to(tmp_path / "secret" / "0.jpg")
    (tmp_path / "root" / "folder").symlink_to(tmp_path / "secret")
    return tmp_path


def table(outside, name):
    lines = ["fname,labels,is_valid", "0.jpg,cat,False", f"{name},dog,False", "2.jpg,cat,True"]
    (outside / "root" / "labels.csv").write_text("\n".join(lines) + "\n")
    return outside / "root"


WAYS = ["../secret/0.jpg", "sub/../../secret/0.jpg", "ABSOLUTE", "link.jpg", "folder/0.jpg", "../root/../secret/0.jpg"]


@pytest.mark.parametrize("way", WAYS)
def test_ways_out_are_refused_unless_allowed(outside, way):
    root = table(outside, way.replace("ABSOLUTE", str(outside / "secret" / "0.jpg")))
    (root / "sub").mkdir()
    with pytest.raises(
        TableError, match=r"labels\.csv: row 3, column 'fname': .* leads out of .*--data\.allow_outside"
    ):
        MultiLabelDataModule(str(root), num_workers=0).setup("fit")
    data = MultiLabelDataModule(str(root), num_workers=0, allow_outside=True, cache="none", size=32)
    data.setup("fit")
    assert data.train_set[1].image.shape == (32, 32, 3)
    assert "allow_outside" not in data.hparams  # a checkpoint brings no trust


@pytest.mark.parametrize(
    "name", ["1.jpg", "./1.jpg", "sub/../1.jpg", "../root/1.jpg", "INSIDE", "inner.jpg", "inner/1.jpg"]
)
def test_ways_that_stay_inside_are_taken(outside, name):
    root = table(outside, name.replace("INSIDE", str(outside / "root" / "1.jpg")))
    (root / "sub").mkdir()
    (root / "inner.jpg").symlink_to("1.jpg")
    (root / "inner").symlink_to(root)
    data = MultiLabelDataModule(str(root), num_workers=0, cache="none", size=32)
    data.setup("fit")
    assert data.train_set[1].image.shape == (32, 32, 3)


def test_a_root_that_is_a_link_and_images_elsewhere_are_the_users_own_choice(outside):
    (outside / "alias").symlink_to(outside / "root")
    table(outside, "1.jpg")
    linked = MultiLabelDataModule(str(outside / "alias"), num_workers=0, cache="none", size=32)
    linked.setup("fit")
    images = outside / "images"
    images.mkdir()
    for i in range(4):
        write_image(images / f"{i}.jpg", seed=i)
    elsewhere = MultiLabelDataModule(str(outside / "root"), images=str(images), num_workers=0, cache="none", size=32)
    elsewhere.setup("fit")
    assert all(data.train_set[0].image.shape == (32, 32, 3) for data in (linked, elsewhere))


def test_points_too(tmp_path):
    write_points(tmp_path / "root", [line.replace("3.jpg", "../3.jpg") for line in POINTS])
    write_image(tmp_path / "3.jpg")
    with pytest.raises(TableError, match="row 5"):
        KeypointDataModule(str(tmp_path / "root"), num_workers=0).setup("fit")


def test_the_command_line_says_so_and_exits_with_2(outside, capsys, monkeypatch):
    monkeypatch.chdir(outside)
    table(outside, "../secret/0.jpg")
    conf = str(__import__("tests.conftest").conftest.CONF / "multilabel.yaml")
    assert console(["fit", "--config", conf, *FLAGS, "--data.root", "root", "--model.pretrained", "false"]) == 2
    assert "leads out of the data's folder" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b.jpg", "loop", "é" * 200])
def test_names_that_no_file_can_have_are_missing(outside, name):
    (outside / "root" / "loop").symlink_to("loop")
    assert Confines(outside / "root").hold(outside / "root" / name) in (True, False)  # and raises nothing
    if "\0" not in name:
        with pytest.raises((DatasetNotFoundError, TableError)):
            MultiLabelDataModule(str(table(outside, name))).setup("fit")


def test_many_files_of_one_folder_cost_one_look(tmp_path, monkeypatch):
    confines, looked = Confines(tmp_path), []
    real = os.path.realpath
    monkeypatch.setattr(os.path, "realpath", lambda path: looked.append(path) or real(path))
    assert all(confines.hold(tmp_path / f"{i}.jpg") for i in np.arange(100))
    assert len(looked) == 1
