"""LabelMe's json files."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_tasks.__main__ import console
from lightning_tasks.data.tables.formats.annotations import Box
from lightning_tasks.data.tables.formats.labelme import LabelMe
from lightning_tasks.data.tables.formats.reader import ReadOptions
from lightning_tasks.data.tables.formats.readers import read_annotations
from lightning_tasks.data.tables.formats.shapes import ellipse, polygon_area_px2
from lightning_tasks.data.tables.formats.source import Source
from lightning_tasks.errors import TableError
from lightning_tasks.tasks.keypoints.table import read_keypoint_table
from tests.fakes import write_image


def shape(label, points, kind, group=None):
    more = {"description": "", "shape_type": kind, "flags": {}, "mask": None}
    return {"label": label, "points": points, "group_id": group, **more}


def write(path, shapes=(), flags=None, name=None, **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    name = name or f"{path.stem}.jpg"
    size = {"imageHeight": 24, "imageWidth": 32}
    head = {"version": "5.5.0", "flags": flags or {}, "shapes": list(shapes)}
    path.write_text(json.dumps({**head, "imagePath": name, "imageData": None, **size, **more}, indent=2))
    return path


def read(path, **options):
    return read_annotations(path, ReadOptions(**options))


def write_example(folder):
    """Two points in each of four images, and a box; returns the folder."""
    for i in range(4):
        points = [shape("left_eye", [[3.5 + i, 4.0]], "point"), shape("right_eye", [[9.0, 5.0]], "point")]
        write(folder / f"{i}.json", [*points, shape("face", [[20, 18], [2, 1]], "rectangle")])
        write_image(folder / f"{i}.jpg", seed=i)
    return folder


def test_shapes_are_objects(tmp_path):
    shapes = [
        shape("face", [[20, 18], [2, 1]], "rectangle"),
        shape("cat", [[0, 0], [10, 0], [10, 4]], "polygon"),
        shape("ball", [[10, 10], [13, 14]], "circle"),
        shape("crack", [[1, 2], [5, 9], [7, 3]], "linestrip"),
        shape("cat", [[3, 4], [9, 9]], "mask"),
        shape("__ignore__", [[0, 0], [1, 1]], "rectangle"),
    ]
    found = read(write(tmp_path / "a.json", shapes))
    assert [(o.label, o.box) for o in found.images[0].objects] == [
        ("face", Box(2, 1, 20, 18)),
        ("cat", Box(0, 0, 10, 4)),
        ("ball", Box(5, 5, 15, 15)),
        ("crack", Box(1, 2, 7, 9)),
        ("cat", Box(3, 4, 9, 9)),
    ]
    assert [o.area_px2 for o in found.images[0].objects] == pytest.approx([None, 20, 78.5398, None, None], abs=1e-4)
    outlines = {f"outlines of the kind {kind}, but for their boxes": 1 for kind in ("polygon", "circle", "linestrip")}
    assert +found.left_out == {
        **outlines,
        "outlines of the kind mask, but for their boxes": 1,
        "shapes to be ignored": 1,
    }


def test_points_of_a_group_are_an_object_with_the_groups_box(tmp_path):
    shapes = [
        shape("nose", [[1, 2]], "point", 7),
        shape("tail", [[3, 4]], "point", 7),
        shape("nose", [[5, 6]], "point", 8),
        shape("dog", [[0, 0], [9, 9]], "rectangle", 7),
    ]
    found = read(write(tmp_path / "a.json", shapes))
    assert found.point_names == ("nose", "tail")
    assert [(o.label, list(o.points)) for o in found.images[0].objects] == [
        ("dog", [1, 2, 2, 3, 4, 2]),
        ("", [5, 6, 2, 0, 0, 0]),
    ]


def test_an_image_that_the_json_alone_holds_is_told(tmp_path):
    found = read(write(tmp_path / "a.json", [shape("x", [[1, 2]], "point")], imageData="iVBORw0K"))
    assert found.notes == ["1 images are in the json files alone: labelme_export_json takes one out"]


def test_flags_are_labels(tmp_path):
    write(tmp_path / "a.json", flags={"__ignore__": False, "cat": True, "dog": False})
    write(tmp_path / "b.json", flags={"__ignore__": True, "cat": True})
    write(tmp_path / "c.json", flags={"dog": True})
    (tmp_path / "classes.json").write_text('["cat", "dog"]')
    found = read(tmp_path)
    assert [(i.name, i.labels, i.unknown) for i in found.images] == [
        ("a.jpg", ["cat"], []),
        ("c.jpg", ["dog"], ["cat"]),
    ]
    assert found.vocab == ("cat", "dog")
    assert +found.left_out == {"images to be ignored": 1, "other json files": 1}


@pytest.mark.parametrize(
    ("place", "name", "folder"),
    [
        ("imgs/a.jpg", r"..\imgs\a.jpg", "imgs"),
        ("ann/a.jpg", "a.jpg", "ann"),
        ("imgs/a.jpg", r"C:\Users\me\a.jpg", "imgs"),
    ],
)
def test_the_image_is_found(tmp_path, place, name, folder):
    write_image(tmp_path / place)
    write(tmp_path / "ann/a.json", [shape("x", [[1, 2]], "point")], name=name)
    found = read(tmp_path if "Users" in name else tmp_path / "ann")
    assert (found.folder / found.images[0].name).parent.samefile(tmp_path / folder)
    assert found.images[0].name.endswith(name[-4:])


ERRORS = {
    r"shapes\[1\]: a second point 'x' of one object. Give each": [shape("x", [[1, 2]], "point")] * 2,
    r"shapes\[0\]: points: a point of 2 points": [shape("x", [[1, 2], [3, 4]], "point")],
    "points: a polygon of 2 points": [shape("x", [[1, 2], [3, 4]], "polygon")],
    r"shapes\[0\]: points\[0\]: it has 3 values, not 2": [shape("x", [[1, 2, 3]], "point")],
    r"points\[0\]: NaN is no number": [shape("x", [[1, float("nan")]], "point")],
    "label: null is no name": [shape(None, [[1, 2]], "point")],
    r"points: null is no list": [shape("x", None, "point")],
    "its group_id true": [shape("x", [[1, 2]], "point", True)],
    r"shapes\[0\]: 3 is no JSON object": [3],
}


@pytest.mark.parametrize("message", ERRORS)
def test_what_cannot_be_used_is_told(tmp_path, message):
    path = write(tmp_path / "a.json", ERRORS[message])
    with pytest.raises(TableError, match=message) as error:
        read(path)
    assert str(error.value).startswith(f"{path}: ")


def test_files_that_cannot_be_used_are_told(tmp_path):
    path = write(tmp_path / "a.json", [shape("x", [[1, 2]], "point")], flags={"cat": "yes"})
    with pytest.raises(TableError, match=r"a\.json: flags: 'cat' is \"yes\", neither true nor false"):
        read(path)
    path.write_text(path.read_text()[:-60])
    with pytest.raises(TableError, match=r"a\.json: line \d+, column \d+: not JSON"):
        read(tmp_path)
    for stem in ("a", "b"):
        write(tmp_path / f"{stem}.json", name="x.jpg", flags={"cat": True})
    with pytest.raises(TableError, match=r"b\.json: imagePath is x\.jpg, as in .*a\.json"):
        read(tmp_path)


@pytest.mark.parametrize(
    "other", [{"shapes": []}, {"shapes": 3, "imagePath": "x"}, {"images": [], "annotations": []}, []]
)
def test_other_json_is_not_taken_for_it(tmp_path, other):
    (tmp_path / "a.json").write_text(json.dumps(other))
    assert not LabelMe().recognises(Source(tmp_path / "a.json"))


COORDINATE = st.floats(-50, 50)


@settings(max_examples=50, deadline=None)
@given(COORDINATE, COORDINATE, st.floats(0.1, 50), st.floats(0.1, 50), st.floats(0, 360))
def test_the_box_of_an_ellipse_is_that_of_its_outline(x, y, a, b, degrees):
    import numpy as np

    t, turn = np.linspace(0, 2 * np.pi, 4001), np.radians(degrees)
    u, v = a * np.cos(t), b * np.sin(t)
    xs, ys = x + u * np.cos(turn) - v * np.sin(turn), y + u * np.sin(turn) + v * np.cos(turn)
    assert ellipse("", (x, y), (a, b), degrees).box == pytest.approx((xs.min(), ys.min(), xs.max(), ys.max()), abs=1e-3)
    assert polygon_area_px2(list(zip(xs, ys, strict=True))) == pytest.approx(np.pi * a * b, rel=1e-4)


def test_init_writes_points_and_labels(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_example(tmp_path / "data")
    assert console(["init", "data"]) == 0
    assert "LabelMe json, 4 files: 8 objects" in capsys.readouterr().out
    table = read_keypoint_table(tmp_path / "points.csv")
    assert table["left_eye_x"].tolist() == [3.5, 4.5, 5.5, 6.5]
    assert console(["convert", "data", "--task", "multilabel"]) == 0
    assert (tmp_path / "labels.csv").read_text().splitlines()[1] == "0.jpg,face"
