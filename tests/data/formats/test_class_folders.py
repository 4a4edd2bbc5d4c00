"""A folder for each class."""

import pytest

from lightning_tasks.data.tables.formats.reader import ReadOptions
from lightning_tasks.data.tables.formats.readers import read_annotations
from lightning_tasks.errors import TableError
from tests.fakes import write_image


def read(folder, format_name=None):
    return read_annotations(folder, ReadOptions(), format_name)


def test_a_folder_is_a_label(tmp_path):
    for name in ("cat/1.jpg", "dog/1.jpg", "dog/2.png"):
        write_image(tmp_path / name)
    assert [(i.name, i.labels, i.split) for i in read(tmp_path).images] == [
        ("cat/1.jpg", ("cat",), ""),
        ("dog/1.jpg", ("dog",), ""),
        ("dog/2.png", ("dog",), ""),
    ]


def test_folders_of_splits_stand_above(tmp_path):
    for name in ("train/cat/1.jpg", "valid/dog/big/1.jpg", "test/cat/1.jpg", "x.jpg"):
        write_image(tmp_path / name)
    found = read(tmp_path)
    assert [(i.labels, i.split) for i in found.images] == [
        (("cat",), "test"),
        (("cat",), "train"),
        (("dog/big",), "val"),
    ]
    assert found.left_out == {"images in no folder of a class": 1}
    assert found.notes == ["folders in folders are labels, too, with / between them: 'dog/big'"]


@pytest.mark.parametrize("folders", ["training_set test_set", "train_images val-images", "Train2017 validation"])
def test_folders_of_splits_have_many_names(tmp_path, folders):
    for folder in folders.split():
        for label in ("cat", "dog"):
            write_image(tmp_path / folder / label / "1.jpg")
    found = read(tmp_path)
    assert {image.labels for image in found.images} == {("cat",), ("dog",)}
    assert all(image.split for image in found.images)


@pytest.mark.parametrize("others", [[], ["a/labels.json"]])
def test_what_is_no_folder_of_classes_is_told(tmp_path, others):
    for name in ("a/1.jpg", "a/2.jpg"):
        write_image(tmp_path / name)
    for name in others:
        (tmp_path / name).write_text("{}")
    with pytest.raises(TableError, match=r"of no format that is known here\. --format names one of"):
        read(tmp_path)


def write_example(folder):
    """Write three images of two classes; return their folder."""
    for name in ("cat/1.jpg", "dog/1.jpg", "dog/2.png"):
        write_image(folder / name)
    return folder
