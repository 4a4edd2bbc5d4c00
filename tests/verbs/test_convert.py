"""Anybody's annotations to a table of ours, whatever the format: what the verbs do around the readers."""

import csv
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from lightning_tasks.__main__ import console
from lightning_tasks.data.tables.formats import readers
from lightning_tasks.data.tables.formats.annotations import (
    ABSENT,
    HIDDEN,
    SEEN,
    AnnotatedImage,
    AnnotatedObject,
    Annotations,
    Box,
)
from lightning_tasks.data.tables.formats.reader import Reader
from tests.fakes import write_image


class Made(Reader):
    """A reader of what a test puts together."""

    def __init__(self, name, annotations):
        self.name, self.about, self.annotations = name, f"{name}'s files", annotations

    def recognises(self, source):
        return source.path.suffix == ".made"

    def read(self, source, options):
        return self.annotations


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Return a function that lets `a.made` hold annotations."""
    monkeypatch.chdir(tmp_path)
    Path("a.made").write_text("x")

    def put(images, **more):
        annotations = Annotations(images, Path(), "made", **more)
        monkeypatch.setattr(readers, "READERS", (Made("made", annotations),))
        return annotations

    return put


def rows(path):
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def points(*xyv):
    return [float(number) for number in xyv]


def test_labels_of_an_image_are_its_own_and_its_objects(made):
    thing = [AnnotatedObject("hot dog"), AnnotatedObject("cat"), AnnotatedObject("cat")]
    made(
        [AnnotatedImage("a.jpg", labels=["sea"], unknown=["cat", "sand"], objects=thing), AnnotatedImage("b.jpg")],
        vocab=("cat", "cow", "hot dog", "sand", "sea"),
    )
    assert console(["convert", "a.made"]) == 0
    assert rows("labels.csv") == [
        ["fname", "labels", "difficult"],
        ["a.jpg", "sea;hot dog;cat", "sand"],
        ["b.jpg", "", ""],
    ]


def test_labels_that_hold_the_separator_are_lists(made):
    made([AnnotatedImage("a.jpg", labels=["a;b", "c"]), AnnotatedImage("b.jpg")])
    assert console(["convert", "a.made"]) == 0
    assert rows("labels.csv")[1:] == [["a.jpg", '["a;b", "c"]'], ["b.jpg", ""]]


def test_points_with_hidden_and_absent_ones(made):
    images = [
        AnnotatedImage("a.jpg", objects=[AnnotatedObject("dog", points=points(1, 2.5, SEEN, 3, 4, HIDDEN))], group="x"),
        AnnotatedImage("b.jpg", objects=[AnnotatedObject("dog", points=points(5, 6, SEEN, 0, 0, ABSENT))], group="y"),
        AnnotatedImage("c.jpg", objects=[AnnotatedObject("dog", points=points(0, 0, ABSENT, 0, 0, ABSENT))]),
        AnnotatedImage("d.jpg"),
    ]
    left_out = made(images, point_names=("nose", "tail")).left_out
    assert console(["convert", "a.made"]) == 0
    assert rows("points.csv") == [
        ["fname", "group", "nose_x", "nose_y", "tail_x", "tail_y", "nose_visible", "tail_visible"],
        ["a.jpg", "x", "1.0", "2.5", "3.0", "4.0", "2", "1"],
        ["b.jpg", "y", "5.0", "6.0", "", "", "2", "0"],
    ]
    assert left_out == Counter({"images without a point": 2})


def test_numbers(made):
    made([AnnotatedImage("a.jpg", values={"age": 31.5}), AnnotatedImage("b.jpg")], value_names=("age",))
    assert console(["convert", "a.made"]) == 0
    assert rows("values.csv") == [["fname", "age"], ["a.jpg", "31.5"], ["b.jpg", ""]]


def test_several_objects_with_points_are_told_or_the_largest_is_taken(made, capsys):
    small = AnnotatedObject(points=points(1, 1, SEEN, 2, 2, SEEN))
    boxed = AnnotatedObject(points=points(3, 3, SEEN, 4, 4, SEEN), box=Box(0, 0, 10, 10))
    masked = AnnotatedObject(points=points(5, 5, SEEN, 6, 6, SEEN), box=Box(0, 0, 90, 90), area_px2=50.0)
    crowd = AnnotatedObject(points=points(7, 7, SEEN, 8, 8, SEEN), area_px2=9e9, is_crowd=True)
    images = [
        AnnotatedImage("a.jpg", "f: row 2", objects=[small]),
        AnnotatedImage("b.jpg", "f: row 3", objects=[small, masked, boxed, crowd]),
    ]
    made(images, point_names=("l", "r"))
    assert console(["convert", "a.made"]) == 2
    said = capsys.readouterr().err
    assert "f: row 3: b.jpg holds 3 objects with points, and 1 of 2 images hold several" in said
    assert "--instances largest" in said
    assert not Path("points.csv").exists()
    assert console(["convert", "a.made", "--instances", "largest"]) == 0
    assert [row[1] for row in rows("points.csv")[1:]] == ["1.0", "3.0"]
    said = capsys.readouterr().out
    assert "left out         1 crowds with points, 2 objects with points beside the largest\n" in said


def test_images_of_another_size_than_was_annotated_are_told(made, capsys):
    """Of a.jpg its EXIF says that it is turned, and a tool may have taken it as it is stored."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (32, 24)).save("a.jpg", exif=exif)
    write_image(Path("b.jpg"))
    thing = AnnotatedObject("x", points=points(1, 2, SEEN))
    stated = {"missing.jpg": (1, 1), "b.jpg": (32.0, 24), "c.jpg": None, "a.jpg": (24, 32)}
    images = [AnnotatedImage(name, f"f: {name}", objects=[thing], size_px=size) for name, size in stated.items()]
    made(images, point_names=("p",))
    assert console(["convert", "a.made"]) == 0
    made([*images[:3], images[3]._replace(size_px=(32, 24))], point_names=("p",))
    assert console(["convert", "a.made", "--force", "true"]) == 2
    said = capsys.readouterr().err
    assert (
        "f: a.jpg: a.jpg was annotated at 32×24 pixels and has, upright, 24×32. 1 of 3 images that were looked at"
        in said
    )
    assert console(["convert", "a.made", "--task", "multilabel"]) == 0  # labels lie nowhere


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_split_that_leaves_nothing_to_train_on_is_none(made, capsys, split):
    made([AnnotatedImage(f"{i}.jpg", labels=["x"], split=split) for i in range(2)])
    assert console(["convert", "a.made"]) == 0
    assert rows("labels.csv")[0] == ["fname", "labels"]
    assert f"all images are of one split, {split}: the table leaves it out" in capsys.readouterr().out


def test_splits_are_kept_and_images_of_none_left_out(made, capsys):
    made([AnnotatedImage("a.jpg", labels=["x"], split="train"), AnnotatedImage("b.jpg", labels=["y"])])
    assert console(["convert", "a.made"]) == 0
    assert rows("labels.csv") == [["fname", "split", "labels"], ["a.jpg", "train", "x"]]
    assert "left out         1 images of no split, where others have one" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ([], "it holds labels and points. Say which are meant: --task multilabel or --task keypoints."),
        (["--task", "boxes"], "there is no such task; it is one of multilabel, keypoints, values."),
        (["--task", "values"], "no image has a number"),
        (["--format", "coco3"], "There is no format 'coco3'. --format is one of made."),
        (["--images", "a.made"], "There is no folder a.made (--images), seen from here or from"),
        (["--images", "there"], "There is no folder there (--images)"),
        (["--columns", "fname"], "write our name, = and the file's: 'fname=image_id,labels=tags'."),
        (["--output", "a.made", "--task", "multilabel"], "a.made is read here"),
    ],
)
def test_mistakes_are_told(made, capsys, options, what):
    made([AnnotatedImage("a.jpg", labels=["x"], objects=[AnnotatedObject(points=points(1, 2, 2))])], point_names=("p",))
    assert console(["convert", "a.made", *options]) == 2
    assert what in capsys.readouterr().err
    assert [path.name for path in Path().iterdir()] == ["a.made"]


def test_init_writes_no_table_where_the_config_is_there(made, capsys):
    made([AnnotatedImage("a.jpg", labels=["x"]), AnnotatedImage("b.jpg", labels=["y"])])
    Path("labels.yaml").write_text("mine")
    assert console(["init", "a.made"]) == 2
    assert "labels.yaml is there already" in capsys.readouterr().err
    assert sorted(path.name for path in Path().iterdir()) == ["a.made", "labels.yaml"]
    assert Path("labels.yaml").read_text() == "mine"


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_what_is_no_zip_is_told(tmp_path, capsys, name):
    (tmp_path / name).write_bytes(b"PK\x03\x04 cut off")
    assert console(["convert", str(tmp_path / name)]) == 2
    assert f"{name}: no zip, or one that is cut off. Get it again, or unpack it" in capsys.readouterr().err


def test_that_no_image_is_there_is_told(made, capsys):
    images = [AnnotatedImage(f"{i}.jpg", labels=["x"]) for i in range(3)]
    made(images)
    assert console(["convert", "a.made"]) == 0
    assert "note             no image is found in .: --images names their folder\n" in capsys.readouterr().out
    write_image(Path("2.jpg"))
    made(images)
    assert console(["convert", "a.made", "--force", "true"]) == 0
    assert "no image" not in capsys.readouterr().out


def test_two_formats_are_told_so(made, monkeypatch, capsys):
    annotations = made([AnnotatedImage("a.jpg", labels=["x"])])
    monkeypatch.setattr(readers, "READERS", (Made("one", annotations), Made("two", annotations)))
    assert console(["convert", "a.made"]) == 2
    said = capsys.readouterr().err
    assert "it fits 2 formats. Say which: --format one (one's files) or --format two (two's files)." in said
    assert console(["convert", "a.made", "--format", "two"]) == 0


def test_nothing_is_written_over_and_nothing_half_written(made, capsys):
    made([AnnotatedImage("a.jpg", labels=["x"])])
    Path("labels.csv").write_text("mine")
    assert console(["convert", "a.made"]) == 2
    assert "labels.csv is there already" in capsys.readouterr().err
    assert Path("labels.csv").read_text() == "mine"
    assert console(["convert", "a.made", "--force", "true"]) == 0
    assert rows("labels.csv") == [["fname", "labels"], ["a.jpg", "x"]]


def test_words_for_nothing_are_labels_where_annotations_have_them(made):
    write_image(Path("a.jpg"))
    made([AnnotatedImage("a.jpg", labels=["None", "cat"])])
    assert console(["init", "a.made"]) == 0
    assert "vocab: [None, cat]" in Path("labels.yaml").read_text()


def test_a_zip_is_unpacked_beside_the_table(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("cat/1.png", "dog/1.png"):
        write_image(tmp_path / "pets" / name)
    with zipfile.ZipFile("data.zip", "w") as archive:
        for path in sorted((tmp_path / "pets").rglob("*.png")):
            archive.write(path, path.relative_to(tmp_path))
    for _ in range(2):  # unpacked once
        assert console(["init", "data.zip", "--force", "true"]) == 0
    assert rows("labels.csv") == [["fname", "labels"], ["cat/1.png", "cat"], ["dog/1.png", "dog"]]
    assert "labels.yaml  (labels, 2 images)" in capsys.readouterr().out
