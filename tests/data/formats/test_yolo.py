"""YOLO's label files; the values are worked out by hand: cx 0.5 of a width of 200 is 100."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from lightning_tasks.__main__ import console
from lightning_tasks.data.tables.formats.reader import ReadOptions
from lightning_tasks.data.tables.formats.readers import read_annotations
from lightning_tasks.data.tables.formats.source import Source
from lightning_tasks.data.tables.formats.yolo.reader import Yolo
from lightning_tasks.data.tables.formats.yolo.rows import RowReader
from lightning_tasks.errors import TableError
from tests.fakes import write_image
from tests.test_fuzz import cases

SIZE = (100, 200)  # height, width
DETECTION = "names: [cat, dog]\ntrain: images/train\nval: images/val\n"
POSE = DETECTION + "kpt_shape: [3, 3]\nflip_idx: [0, 2, 1]\n"


def write(folder: Path, files: dict[str, str | None]) -> Path:
    """Write text files, and an image where the text is None."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            write_image(path, SIZE)
        else:
            path.write_text(text)
    return folder


def write_example(folder: Path) -> Path:
    """Write two images with a box each, as Ultralytics has them."""
    files = {"data.yaml": DETECTION, "images/train/a.jpg": None, "images/val/b.jpg": None}
    return write(folder, files | {f"labels/{name}.txt": "1 0.5 0.5 0.1 0.2\n" for name in ("train/a", "val/b")})


def read(path, **options):
    return read_annotations(path, ReadOptions(**options), "yolo")


def of_one(folder, row, yaml=DETECTION):
    """What a row says, of an image 200 wide and 100 high."""
    files = {"data.yaml": yaml, "images/train/a.jpg": None, "labels/train/a.txt": row}
    (folder / "images" / "val").mkdir(parents=True, exist_ok=True)
    return read(write(folder, files))


@pytest.mark.parametrize("inner", ["labels/", ""])
def test_an_image_may_be_called_like_a_list(tmp_path, inner):
    names = ("test", "train", "labels")
    rows = {f"{inner}{name}.txt": f"{i} 0.5 0.5 0.1 0.2\n" for i, name in enumerate(names)}
    write(tmp_path, rows | {f"{inner and 'images/'}{name}.jpg": None for name in names} | {"classes.txt": "a\nb\nc\n"})
    found = read_annotations(tmp_path, ReadOptions())
    said = {Path(image.name).stem: [thing.label for thing in image.objects] for image in found.images}
    assert said == {"test": ["a"], "train": ["b"], "labels": ["c"]}
    assert {image.split for image in found.images} == {""}


def test_a_box(tmp_path):
    found = of_one(tmp_path, "1 0.5 0.25 0.1 0.2\n0 0.25 0.5 0.5 1\n\n")
    (image,) = found.images
    assert (image.name, image.split, found.vocab) == ("images/train/a.jpg", "train", ("cat", "dog"))
    assert [thing.label for thing in image.objects] == ["dog", "cat"]
    assert [tuple(thing.box) for thing in image.objects] == [
        pytest.approx((90, 15, 110, 35)),
        pytest.approx((0, 0, 100, 100)),
    ]
    assert "1 images (0 without an object): 2 objects" in found.found


def test_points_and_what_they_are_called(tmp_path):
    row = "0 0.5 0.5 1 1 0.1 0.2 2 0.5 0.75 1 0 0 0\n"
    found = of_one(tmp_path, row, POSE)
    (thing,) = found.images[0].objects
    assert thing.points == pytest.approx((20, 20, 2, 100, 75, 1, 0, 0, 0))
    assert (found.point_names, found.swap_pairs) == (("p0", "p1", "p2"), [["p1", "p2"]])
    for names in ("{0: [nose, left, no], 1: [nose, left, no]}", "[nose, left, no]", "[[nose, left, no]]"):
        found = of_one(tmp_path, row, f"{POSE}kpt_names: {names}\n")
        assert (found.point_names, found.swap_pairs) == (("nose", "left", "no"), [["left", "no"]])


def test_classes_that_name_their_points_differently(tmp_path):
    found = of_one(tmp_path, "", POSE + "kpt_names: {0: [nose, left, right], 1: [tail, left, right]}\n")
    assert found.point_names == ("p0", "p1", "p2")
    assert "are not the same for all classes" in found.notes[0]


def test_positions_are_those_of_the_upright_image(tmp_path):
    """Of a photo that a phone turned: 100 wide and 200 high, though stored the other way."""
    write(tmp_path, {"images/train/a.jpg": None})
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.new("RGB", SIZE[::-1]).save(tmp_path / "images/train/a.jpg", exif=exif)
    (tmp_path / "labels/train").mkdir(parents=True)
    (tmp_path / "labels/train/a.txt").write_text("0 .5 .25 .1 .1")
    (tmp_path / "data.yaml").write_text("names: [cat]\ntrain: images/train")
    assert tuple(read(tmp_path).images[0].objects[0].box) == pytest.approx((45, 40, 55, 60))


def test_points_without_visibility_are_absent_where_they_are_negative_or_at_zero(tmp_path):
    found = of_one(tmp_path, "0 0.5 0.5 1 1 0.5 0 -0.005 0.5 0 0\n", DETECTION + "kpt_shape: [3, 2]\n")
    assert found.images[0].objects[0].points == (100, 0, 2, 0, 0, 0, 0, 0, 0)
    assert found.notes == [
        f"the points are called p0 to p2: kpt_names in {tmp_path / 'data.yaml'} may say other names",
        "1 points at 0 0, which count as absent",
    ]
    assert found.swap_pairs is None


def test_many_points_sort_by_their_names(tmp_path):
    shape = "kpt_shape: [17, 2]\n"
    found = of_one(tmp_path, "0 0.5 0.5 1 1 " + "0.5 0.5 " * 17, DETECTION + shape)
    assert found.point_names[::8] == ("p00", "p08", "p16")


def test_an_outline_leaves_its_box(tmp_path):
    found = of_one(tmp_path, "1 0.1 0.2 0.5 0.1 0.3 0.9\n1 0.1 0.1 0.2 0.1 0.2 0.2 0.1 0.2\n0 .5 .5 .5 .5\n")
    boxes = [tuple(thing.box) for thing in found.images[0].objects]
    assert boxes[:2] == [pytest.approx((20, 10, 100, 90)), pytest.approx((20, 10, 40, 20))]
    assert found.left_out["outlines"] == 2
    assert not found.notes
    (note,) = of_one(tmp_path, "0 0.5 0.5 1 1\n", "names: [cat, dog, cat]\ntrain: images/train\n").notes
    assert note == "several classes are called cat, which is one label"
    (note,) = of_one(tmp_path, "1 0.1 0.1 0.2 0.1 0.2 0.2 0.1 0.2\n").notes
    assert "turned boxes" in note
    (note,) = of_one(tmp_path, "0 .5 .5 1 1 .1 .1 1 .2 .2 1\n").notes  # two points of a data.yaml without kpt_shape
    assert "each row has 11 numbers" in note


def test_predictions_and_rows_that_stand_twice_are_counted(tmp_path):
    found = of_one(tmp_path, "1 0.5 0.5 0.1 0.2 0.87\n0 .5 .5 .1 .1\n0 .5 .5 .1 .1\n")
    assert len(found.images[0].objects) == 2
    assert found.left_out["confidences of predictions"] == found.left_out["rows that stand twice"] == 1


@pytest.mark.parametrize(
    ("row", "yaml", "message"),
    [
        ("0 .5 .5 .1 .1\n2 .5 .5 .1 .1", DETECTION, r"a\.txt: line 2: there is no class 2: there are 2 names, 0 to 1"),
        ("-1 .5 .5 .1 .1", DETECTION, "line 1: the class is -1, not 0, 1, 2"),
        ("0.5 .5 .5 .1 .1", DETECTION, "line 1: the class is 0.5"),
        ("0 .5 1.02 .1 .1", DETECTION, "line 1: cy is 1.02, and relative to the image it is 0 to 1"),
        ("0 120 50 20 10", DETECTION, "line 1: cx is 120, .* pixels are to be divided by"),
        ("0 .5 .5 -.001 .1", DETECTION, "line 1: the box is -0.001 by 0.1"),
        ("0 .5 nan .1 .1", DETECTION, "line 1: 'nan' is no number"),
        ("0 .5 inf .1 .1", DETECTION, "line 1: 'inf' is no number"),
        ("0 .5 x .1 .1", DETECTION, "line 1: 'x' is no number"),
        ("0,.5,.5,.1,.1", DETECTION, "line 1: '0,.5,.5,.1,.1' is no number"),
        ("0 .5 .5 .1", DETECTION, "line 1: 4 numbers, and 'class cx cy w h' are 5"),
        ("0 .5 .5 .1 .1 .2 .2 2", DETECTION, "line 1: 8 numbers, .* kpt_shape in data.yaml must say"),
        ("0 .5 .5 .1 .1 .2 .2 2", POSE, r"line 1: 8 numbers, and kpt_shape \[3, 3\] in data.yaml wants 14"),
        ("0 .5 .5 .1 .1", POSE, "line 1: 5 numbers, and kpt_shape"),
        ("0 .5 .5 1 1 .1 .1 .93 .1 .1 2 .1 .1 2", POSE, r"line 1: point 0: its v is 0\.93, not 0 \(absent\)"),
        ("0 .5 .5 1 1 .1 .1 1 .1 7 2 .1 .1 2", POSE, "line 1: y of point 1 is 7"),
        ("0 .1 .1 .2 1.2 .4 .2", DETECTION, "line 1: a position is 1.2"),
        ("", "names: [cat, dog]\nnc: 3\ntrain: images", r"data\.yaml: nc is 3, and there are 2 names"),
        ("", "names: [cat, {a: b}]\ntrain: images", "names: class 1 is {'a': 'b'}, which is no name"),
        ("", "names: {a: cat}\ntrain: images", "'a' is no number of a class"),
        ("", "names: cat\ntrain: images", "names is 'cat', neither a list"),
        ("", "names: [cat\ntrain: images", r"data\.yaml: line 2: not YAML"),
        ("", "names: [cat]\ntrain: other", r"data\.yaml: train: there is no other: no images"),
        ("", POSE.replace("[3, 3]", "[3, 4]"), r"kpt_shape is \['3', '4'\]\. Write \[number of points, 2 or 3\]"),
        ("", POSE.replace("[0, 2, 1]", "[0, 2, 2]"), "flip_idx is .*Write for each of the 3 points"),
        ("", POSE.replace("[0, 2, 1]", "[1, 2, 0]"), "flip_idx is .*Write for each of the 3 points"),
        ("", POSE + "kpt_names: {0: [a, b]}\n", r"kpt_names is \['a', 'b'\], and kpt_shape says 3 points"),
        ("", DETECTION + "test: images/train\n", "the image is in train and in test"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, row, yaml, message):
    write(tmp_path, {"images/val/b.jpg": None})
    with pytest.raises(TableError, match=message):
        of_one(tmp_path, row, yaml)


def test_an_image_without_labels_has_none_and_needs_no_size(tmp_path):
    files = {
        "images/val/b.jpg": "",
        "images/train/c.jpg": "",
        "labels/train/c.txt": "\n",
        "labels/train/d.txt": "0 0 0 0 0",
    }
    write(tmp_path, files)
    found = of_one(tmp_path, "0 .5 .5 .1 .1")
    assert [(image.name, len(image.objects)) for image in found.images] == [
        ("images/train/a.jpg", 1), ("images/train/c.jpg", 0), ("images/val/b.jpg", 0),
    ]  # fmt: skip
    assert found.left_out["label files without an image"] == 1
    (tmp_path / "images/train/a.jpg").write_text("no image")
    with pytest.raises(TableError, match=r"a\.jpg: its size cannot be read, and .*a\.txt is relative to it"):
        read(tmp_path)


ROW = "0 .5 .5 .1 .1"
LAYOUTS = {
    "roboflow": (
        {"data.yaml": "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnc: 1\nnames: ['cat']\n"},
        {"train/images/a.jpg": "train/labels/a.txt", "valid/images/a.jpg": "valid/labels/a.txt"},
        {"train/images/a.jpg": "train", "valid/images/a.jpg": "val"},
    ),
    "lists": (
        {
            "data.yaml": "path: /content/set\ntrain: [train.txt, more/images]\nval: val.txt\nnames: {0: cat}\n",
            "train.txt": "./images/a.jpg\n",
            "val.txt": "D:\\set\\images\\b.jpg\n",
        },
        {"images/a.jpg": "labels/a.txt", "more/images/c.jpg": "more/labels/c.txt", "images/b.jpg": "labels/b.txt"},
        {"images/a.jpg": "train", "more/images/c.jpg": "train", "images/b.jpg": "val"},
    ),
    "darknet, as CVAT writes it": (
        {
            "obj.data": "classes = 1\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n",
            "obj.names": "cat\n",
            "train.txt": "data/obj_train_data/a.jpg\n",
        },
        {"obj_train_data/a.jpg": "obj_train_data/a.txt"},
        {"obj_train_data/a.jpg": "train"},
    ),
    "classes.txt, as Label Studio writes it": (
        {"classes.txt": "cat\ndog\n", "notes.json": "{}"},
        {"images/a.jpg": "labels/a.txt"},
        {"images/a.jpg": ""},
    ),
    "darknet, as Roboflow writes it": (
        {
            "README.roboflow.txt": "Provided by a user",
            "train/_darknet.labels": "cat\n",
            "valid/_darknet.labels": "cat\n",
        },
        {"train/a.jpg": "train/a.txt", "valid/b.jpg": "valid/b.txt"},
        {"train/a.jpg": "train", "valid/b.jpg": "val"},
    ),
    "beside the images": (
        {"train/classes.txt": "cat\ndog\n"},
        {"train/a.jpg": "train/a.txt", "val/a.jpg": "val/a.txt"},
        {"train/a.jpg": "train", "val/a.jpg": "val"},
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(tmp_path, layout):
    texts, labels, expected = LAYOUTS[layout]
    write(tmp_path, texts | dict.fromkeys(labels) | dict.fromkeys(labels.values(), ROW))
    assert Yolo().recognises(Source(tmp_path))
    found = read(tmp_path)
    assert {image.name: image.split for image in found.images} == expected
    assert found.folder == tmp_path
    assert {thing.label for image in found.images for thing in image.objects} == {"cat"}
    assert all(len(image.objects) == 1 for image in found.images)


def test_a_yaml_alone_labels_alone_and_images_elsewhere(tmp_path):
    folder = write_example(tmp_path / "set")
    assert len(read(folder / "data.yaml").images) == 2
    found = read(folder / "labels")
    assert [image.name for image in found.images] == ["train/a.jpg", "val/b.jpg"]
    assert found.notes == ["no file says what the classes are called: their labels are 0, 1, 2 ..."]
    assert found.images[0].objects[0].label == "1"
    (folder / "images").rename(tmp_path / "photos")
    found = read(folder, images=tmp_path / "photos")
    assert ([image.name for image in found.images], found.folder) == (["train/a.jpg", "val/b.jpg"], tmp_path / "photos")
    with pytest.raises(TableError, match="Name their folder with --images"):
        read(folder)


def test_lists_of_classes_that_differ_are_told(tmp_path):
    """As LabelImg may leave them in two folders, each in the order of its own boxes."""
    write(tmp_path, {"a/1.jpg": None, "a/1.txt": ROW, "a/classes.txt": "cat\ndog\n", "b/classes.txt": "dog\ncat\n"})
    with pytest.raises(TableError, match=r"b/classes\.txt: its classes are not those of .*a/classes\.txt"):
        read(tmp_path)


def test_the_same_images_for_training_and_validation_are_no_split(tmp_path):
    """As in Ultralytics' coco128."""
    found = of_one(tmp_path, ROW, "names: [cat]\ntrain: images/train\nval: images/train\n")
    assert [image.split for image in found.images] == [""]
    assert "train and val are the same images" in found.notes[0]


def test_names_stay_text(tmp_path):
    found = of_one(tmp_path, ROW, "names: [no, 1e3, 007]\ntrain: images/train\n")
    assert found.vocab == ("no", "1e3", "007")


@pytest.mark.parametrize(
    "files",
    [
        {"a.jpg": None, "a.txt": "cat dog"},
        {"a.jpg": None, "list.txt": "a.jpg cat\nb.jpg dog"},
        {"a.jpg": None, "a.txt": "202599\n5_o_Clock_Shadow Male\n"},
        {"a.jpg": None, "a.txt": "3 200 300 20 20"},
        {"config.yaml": "names: 3\nother: 4"},
        {"a.jpg": None, "empty.txt": ""},
    ],
)
def test_what_is_not_yolo(tmp_path, files):
    assert not Yolo().recognises(Source(write(tmp_path, files)))


@cases(100)
@given(
    row=st.tuples(*[st.floats(0, 1)] * 2, *[st.floats(0, 1)] * 2),
    size=st.tuples(*[st.integers(1, 5000)] * 2),
)
def test_positions_times_the_size_come_back(tmp_path_factory, row, size):
    path = tmp_path_factory.getbasetemp() / "row.txt"
    path.write_text("7 " + " ".join(map(repr, row)))
    (found,) = RowReader({}, None).read(path).rows
    x0, y0, x1, y1 = found.box
    assert math.isclose((x0 + x1) / 2 * size[1], row[0] * size[1], abs_tol=1e-9 * size[1])
    assert math.isclose((y1 - y0) * size[0], row[3] * size[0], abs_tol=1e-9 * size[0])


@pytest.mark.parametrize("kind", ["labels", "points"])
def test_init_writes_a_table_that_can_be_read(tmp_path, monkeypatch, capsys, kind):
    monkeypatch.chdir(tmp_path)
    pose = " .1 .2 2 .5 .75 1 0 0 0"
    files = {"data.yaml": DETECTION if kind == "labels" else POSE}
    files |= {f"images/{name}.jpg": None for name in ("train/a", "train/b", "val/c")}
    files |= {f"labels/{name}.txt": ROW + pose * (kind == "points") for name in ("train/a", "train/b", "val/c")}
    write(tmp_path / "set", files)
    assert console(["init", "set"]) == 0
    rows = (tmp_path / f"{kind}.csv").read_text().splitlines()
    expected = {
        "labels": ["fname,split,labels", "images/train/a.jpg,train,cat"],
        "points": [
            "fname,split,p0_x,p0_y,p1_x,p1_y,p2_x,p2_y,p0_visible,p1_visible,p2_visible",
            "images/train/a.jpg,train,20.0,20.0,100.0,75.0,,,2,1,0",
        ],
    }
    assert rows[:2] == expected[kind]
    assert len(rows) == 4
    assert "YOLO's labels, 3 images (0 without an object): 3 objects" in capsys.readouterr().out


def test_several_objects_are_refused_by_name_or_the_largest_is_taken(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    small, large = ("0 .5 .5 .1 .1 .1 .2 2 .5 .7 2 .4 .4 2", "0 .5 .5 .5 .5 .3 .2 2 .5 .7 2 .4 .4 2")
    files = {"data.yaml": POSE, "images/train/a.jpg": None, "labels/train/a.txt": f"{small}\n{large}\n"}
    files |= {"images/val/b.jpg": None, "labels/val/b.txt": small}
    write(tmp_path / "set", files)
    assert console(["convert", "set"]) == 2
    said = capsys.readouterr().err
    assert "a.jpg holds 2 objects with points, and 1 of 2 images hold several" in said
    assert not list(tmp_path.glob("*.csv"))
    assert console(["convert", "set", "--instances", "largest"]) == 0
    assert "images/train/a.jpg,train,60.0,20.0" in (tmp_path / "points.csv").read_text()
    assert console(["convert", "set", "--task", "multilabel"]) == 0
    assert "images/train/a.jpg,train,cat" in (tmp_path / "labels.csv").read_text()


def test_objects_without_a_point_are_none_of_several(tmp_path, monkeypatch, capsys):
    """As COCO's crowds of people are: boxes, and nothing of their points is known. The largest is one that has some."""
    monkeypatch.chdir(tmp_path)
    with_points, without = "0 .5 .5 .1 .1 .1 .2 2 .5 .7 2 0 0 0", f"0 .5 .5 .9 .9{' 0' * 9}"
    files = {"data.yaml": POSE, "images/train/a.jpg": None, "labels/train/a.txt": f"{without}\n{with_points}\n"}
    write(tmp_path / "set", files | {"images/val/b.jpg": None, "labels/val/b.txt": without})
    for instances in ("one", "largest"):
        assert console(["convert", "set", "--instances", instances, "--force", "true"]) == 0
        assert (tmp_path / "points.csv").read_text().splitlines()[1:] == [
            "images/train/a.jpg,train,20.0,20.0,100.0,70.0,,"
        ]
        assert "1 images without a point" in capsys.readouterr().out
