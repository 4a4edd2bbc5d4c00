"""Which images the names in annotations mean, and the collector that rests meanwhile."""

import gc
from pathlib import Path

import pytest

from lightning_tasks.data.tables.formats.collector import collector_at_rest
from lightning_tasks.data.tables.formats.images import Images, ImagesNear, from_one_folder, images_folder
from lightning_tasks.errors import DatasetNotFoundError
from tests.fakes import write_image


def test_names_are_found_below_the_folder(tmp_path):
    for name in ("a.jpg", "deep/b.png", "deep/c.jpg", "other/c.jpg"):
        write_image(tmp_path / name)
    images = Images(tmp_path)
    assert images.find_all(["a.jpg", "deep/b.png"]) == {"a.jpg": "a.jpg", "deep/b.png": "deep/b.png"}
    names = {r"C:\x\a.jpg": "a.jpg", "b": "deep/b.png", "c.jpg": "c.jpg", "no.jpg": "no.jpg"}
    assert images.find_all(names) == names
    with pytest.raises(DatasetNotFoundError, match=r"There is no .*nowhere"):
        ImagesNear(tmp_path, tmp_path / "nowhere").locate(["a.jpg"])


def test_of_images_that_differ_in_their_endings_none_is_meant(tmp_path):
    for name in ("a.jpg", "a.png", "b.jpg"):
        write_image(tmp_path / name)
    assert Images(tmp_path).find_all(["a", "b", "x/a"]) == {"a": "a", "b": "b.jpg", "x/a": "x/a"}


def test_no_image_is_that_of_two_names(tmp_path):
    for name in ("cat/1.jpg", "2.jpg", "x/3.jpg"):
        write_image(tmp_path / name)
    names = ["cat/1.jpg", "dog/1.jpg", "a/2.jpg", "b/2.jpg", "y/3.jpg", "z/3.jpg"]
    assert Images(tmp_path).find_all(names) == {name: name for name in names}


def test_a_likely_folder_goes_before_others_that_hold_as_many(tmp_path):
    for name in ("a.jpg", "val/a.jpg", "val/b.jpg"):
        write_image(tmp_path / name)
    assert images_folder(tmp_path, ["a.jpg"], None, tmp_path / "val") == tmp_path / "val"
    assert images_folder(tmp_path, ["a.jpg"], None, tmp_path / "nowhere") == tmp_path
    assert images_folder(tmp_path, ["a.jpg", "b.jpg"], None) == tmp_path / "val"


@pytest.mark.parametrize(
    ("images", "folder", "names"),
    [
        ([("a", "1.jpg"), ("a", "2.jpg")], "a", ["1.jpg", "2.jpg"]),
        ([("a/train", "1.jpg"), ("a/val", "x/1.jpg")], "a", ["train/1.jpg", "val/x/1.jpg"]),
        ([(".", "1.jpg"), ("val", "1.jpg")], ".", ["1.jpg", "val/1.jpg"]),
    ],
)
def test_images_of_several_folders_are_seen_from_one(images, folder, names):
    assert from_one_folder([(Path(place), name) for place, name in images]) == (Path(folder), names)


def test_the_collector_works_again_after_an_error():
    @collector_at_rest()
    def fail():
        with collector_at_rest():
            assert not gc.isenabled()
        assert not gc.isenabled()
        raise KeyError

    assert gc.isenabled()
    with pytest.raises(KeyError):
        fail()
    assert gc.isenabled()
