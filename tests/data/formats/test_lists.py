"""Lists of file names and labels."""

import pytest

from lightning_tasks.data.tables.formats.annotations import Box
from lightning_tasks.data.tables.formats.reader import ReadOptions
from lightning_tasks.data.tables.formats.readers import read_annotations
from lightning_tasks.errors import ConfigError, TableError
from tests.fakes import write_image


def write_example(folder):
    """Write lists of train and val with their images; return the folder."""
    for i in range(4):
        write_image(folder / "images" / f"{i}.jpg", seed=i)
    (folder / "train.txt").write_text("0.jpg cat dog\n1.jpg dog\n")
    (folder / "val.txt").write_text("images/2.jpg cat\n3.jpg dog cat\n")
    return folder


def read(folder, text, classes=None, **options):
    (folder / "t.txt").write_text(text)
    if classes is not None:
        (folder / "classes.txt").write_text(classes)
    return read_annotations(folder / "t.txt", ReadOptions(**options))


def test_what_labels_are_cut_at_is_told(tmp_path):
    assert read(tmp_path, "a.jpg cat dog\nb.jpg dog\n").notes[0].startswith("labels are cut at blanks: 'cat dog' is")
    assert not read(tmp_path, "a.jpg cat\nb.jpg dog\n").notes


def labels(found):
    return [(image.name, *image.labels) for image in found.images]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a.jpg cat dog\nb.png dog\n", [("a.jpg", "cat", "dog"), ("b.png", "dog")]),
        ("a.jpg,cat,dog\nb.png,dog\n", [("a.jpg", "cat", "dog"), ("b.png", "dog")]),
        ("a.jpg\tred car\tdog\nb.png\tdog\n", [("a.jpg", "red car", "dog"), ("b.png", "dog")]),
        ("a.jpg;red car\nb.png;dog;red car\n", [("a.jpg", "red car"), ("b.png", "dog", "red car")]),
        ("a.jpg cat,red car\nb.png dog\n", [("a.jpg", "cat", "red car"), ("b.png", "dog")]),
        ('"a.jpg","cat"\n"b.png","dog"\n', [("a.jpg", "cat"), ("b.png", "dog")]),
        ("my own a.JPG cat\nx\\b.jpeg dog\nc.webp\n", [("my own a.JPG", "cat"), ("x/b.jpeg", "dog"), ("c.webp",)]),
        ("a.jpg.png cat\n", [("a.jpg.png", "cat")]),
        ("a.jpg cat\nb.jpg cat\na.jpg dog\na.jpg dog\n", [("a.jpg", "cat", "dog"), ("b.jpg", "cat")]),
        ("a.jpg 3\nb.jpg 17\n", [("a.jpg", "3"), ("b.jpg", "17")]),
        ("a.jpg ['x y', 'z']\nb.jpg []\n", [("a.jpg", "x y", "z"), ("b.jpg",)]),
        ("\ufeffa.jpg cat\n\n", [("a.jpg", "cat")]),
    ],
)
def test_a_name_and_its_labels(tmp_path, text, wanted):
    assert labels(read(tmp_path, text)) == wanted


@pytest.mark.parametrize(
    ("text", "classes", "wanted"),
    [
        ("a.jpg 0\nb.jpg 2 1\nc.jpg 1\n", "cat\nhot dog\nox\n", [("cat",), ("ox", "hot dog"), ("hot dog",)]),
        ("a.jpg 1\nb.jpg 3\n", "cat\nhot dog\nox\n", [("cat",), ("ox",)]),  # from 1
        ("a.jpg 1\nb.jpg 2\n", "cat\nhot dog\nox\n", [("hot dog",), ("ox",)]),
        ("a.jpg 1\nb.jpg 2\n", "1 cat\n2 hot dog\n3 ox\n", [("cat",), ("hot dog",)]),
        ("a.jpg 1 0 1\nb.jpg 0 0 0\n", "cat\nhot dog\nox\n", [("cat", "ox"), ()]),
        ("a.jpg 1 -1 1\nb.jpg -1 -1 1\n", None, [("0", "2"), ("2",)]),
        ("a.jpg ox\nb.jpg cat\n", "cat\nhot dog\nox\n", [("ox",), ("cat",)]),
    ],
)
def test_classes_by_number(tmp_path, text, classes, wanted):
    assert [tuple(image.labels) for image in read(tmp_path, text, classes).images] == wanted


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("a.jpg 1\nb.jpg 3\n", ["classes are counted from 1, as none is 0 and classes.txt has 3"]),
        ("a.jpg 1\nb.jpg 2\n", ["classes are counted from 0, though none is 0 and classes.txt has 3"]),
        ("a.jpg 0\nb.jpg 2\n", []),
        ("a.jpg ox\nb.jpg cat\n", []),
    ],
)
def test_where_classes_are_counted_from_is_told(tmp_path, text, note):
    assert read(tmp_path, text, "cat\nhot dog\nox\n").notes == note


def test_lists_of_splits(tmp_path):
    found = read_annotations(write_example(tmp_path), ReadOptions())
    assert [(image.name, *image.labels, image.split) for image in found.images] == [
        ("0.jpg", "cat", "dog", "train"),
        ("1.jpg", "dog", "train"),
        ("2.jpg", "cat", "val"),
        ("3.jpg", "dog", "cat", "val"),
    ]
    assert found.folder == tmp_path / "images"
    (tmp_path / "val.txt").write_text("0.jpg cat\n")
    with pytest.raises(TableError, match=r"val.txt: line 1: 0.jpg is in another list too"):
        read_annotations(tmp_path, ReadOptions())


@pytest.mark.parametrize(
    ("text", "boxes"),
    [
        ("a.jpg 1,2,3,4,0 5,5,6.5,6,1\n", [("cat", Box(1, 2, 3, 4)), ("red car", Box(5, 5, 6.5, 6))]),  # keras-yolo3
        ("a.jpg,1,2,3,4,red car\na.jpg,5,5,6,6,cat\n", [("red car", Box(1, 2, 3, 4)), ("cat", Box(5, 5, 6, 6))]),
        ("a.jpg,1,2,3,4,cat\na.jpg,,,,,\n", [("cat", Box(1, 2, 3, 4)), ("", None)]),  # keras-retinanet
    ],
)
def test_boxes(tmp_path, text, boxes):
    assert [thing[:2] for thing in read(tmp_path, text, "cat\nred car\n").images[0].objects] == boxes


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a.jpg 10.5 20 3\nb.jpg 1 2 3\n", {}, "each line has 3 numbers, which may be labels, positions or values"),
        ("a.jpg 10.5\nb.jpg 1\n", {}, "each line has 1 number, which may be labels, positions or values"),
        ("a.jpg 1 0 1\nb.jpg 1\n", {}, "line 1: the label '1' stands twice"),
        ("a.jpg 4\n", {}, r"t.txt: line 1: there is no class 4; .*classes.txt has 2"),
        ("a.jpg [x\n", {}, r"t.txt: line 1: '\[x' starts like a list and is none"),
        ("a.jpg 4,3,2,1,0\n", {}, "line 1: the box 4,3,2,1 is upside down"),
        ("a.jpg 4,3,2,1.1.1,0\n", {}, "line 1: '1.1.1' is not a number"),
        ("a.jpg hot dog\nb.jpg hot dog\n", {}, "the words of 'hot dog' always stand together.*--label_separator none"),
        ("a.jpg x\n" * 30 + "oh\n", {}, "line 31: it does not begin with the name of an image"),
        ("a.jpg x\n", {"encoding": "klingon"}, "there is no such encoding"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(tmp_path, text, options, message):
    with pytest.raises((TableError, ConfigError), match=message):
        read(tmp_path, text, "cat\ndog\n", **options)


def test_two_names_of_one_class(tmp_path):
    with pytest.raises(TableError, match=r"classes.txt: line 2: this name stands in another line already"):
        read(tmp_path, "a.jpg 0\n", "cat\ncat\n")


@pytest.mark.parametrize("text", ["a.jpg\nb.jpg\n", "0 0.5 0.5 0.1 0.1\n", "000012 -1\n", "cat\ndog\n"])
def test_what_is_no_list(tmp_path, text):
    with pytest.raises(TableError, match="of no format that is known here"):
        read(tmp_path, text)
