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


def test_folders_that_all_are_in_say_nothing(tmp_path):
    for name in ("train/cat/1.jpg", "val/dog/1.jpg"):
        write_image(tmp_path / "images" / name)
    (tmp_path / "README.txt").write_text("pets\n")
    found = read(tmp_path)
    assert [(i.name, i.labels, i.split) for i in found.images] == [
        ("train/cat/1.jpg", ("cat",), "train"),
        ("val/dog/1.jpg", ("dog",), "val"),
    ]
    assert found.folder == tmp_path / "images"


def test_texts_for_people_are_no_annotations(tmp_path):
    """Roboflow puts them beside every format."""
    write_example(tmp_path)
    for name in ("README.dataset.txt", "README.roboflow.txt", "cat/license.txt"):
        (tmp_path / name).write_text("Provided by a Roboflow user\n")
    assert [i.labels for i in read(tmp_path).images] == [("cat",), ("dog",), ("dog",)]
    (tmp_path / "readmes.txt").write_text("0 1\n")
    with pytest.raises(TableError, match="of no format"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("images", "others", "message"),
    [
        ([], [], "there is nothing in it"),
        (["images/train/1.jpg", "images/val/1.jpg"], [], "2 images in no folders of classes"),
        (["a/1.jpg", "a/2.jpg"], [], "2 images in no folders of classes, and nothing that says what is in them"),
        (["a/1.jpg", "a/2.jpg"], ["a/labels.json"], r"of no format that is known here\. --format names one of"),
    ],
)
def test_what_is_no_folder_of_classes_is_told(tmp_path, images, others, message):
    for name in images:
        write_image(tmp_path / name)
    for name in others:
        (tmp_path / name).write_text("{}")
    with pytest.raises(TableError, match=message):
        read(tmp_path)


def write_example(folder):
    """Write three images of two classes; return their folder."""
    for name in ("cat/1.jpg", "dog/1.jpg", "dog/2.png"):
        write_image(folder / name)
    return folder
