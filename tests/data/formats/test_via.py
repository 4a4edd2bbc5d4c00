"""VGG Image Annotator's JSON and csv."""

import csv
import json
import math

import pytest

from lightning_tasks.__main__ import console
from lightning_tasks.data.tables.formats.annotations import Box
from lightning_tasks.data.tables.formats.reader import ReadOptions
from lightning_tasks.data.tables.formats.readers import read_annotations
from lightning_tasks.data.tables.formats.source import Source
from lightning_tasks.data.tables.formats.via.reader import Via
from lightning_tasks.errors import TableError
from lightning_tasks.tasks.keypoints.table import read_keypoint_table
from tests.fakes import write_image

HEADER = [
    *("filename", "file_size", "file_attributes", "region_count", "region_id"),
    *("region_shape_attributes", "region_attributes"),
]


def region(shape, numbers, /, **attributes):
    return {"shape_attributes": {"name": shape, **numbers}, "region_attributes": attributes}


def point(label, x, y):
    return region("point", {"cx": x, "cy": y}, name=label)


def rect(x=1, y=2, width=10, height=5, **attributes):
    return region("rect", {"x": x, "y": y, "width": width, "height": height}, **attributes)


def listed(images, attributes=None):
    """VIA's JSON of annotations: regions by the images' names."""
    return {
        f"{name}123": {
            "filename": name,
            "size": 123,
            "regions": regions,
            "file_attributes": (attributes or {}).get(name, {}),
        }
        for name, regions in images.items()
    }


def project(metadata):
    settings = {"ui": {}, "core": {}, "project": {"name": "x"}}
    return {"_via_settings": settings, "_via_img_metadata": metadata, "_via_attributes": {"region": {}, "file": {}}}


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def write_table(path, images, attributes=None):
    rows = [HEADER]
    for name, regions in images.items():
        start = [name, 123, json.dumps((attributes or {}).get(name, {})), len(regions)]
        rows += [
            [*start, i, json.dumps(one["shape_attributes"]), json.dumps(one["region_attributes"])]
            for i, one in enumerate(regions)
        ] or [[*start, 0, "{}", "{}"]]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def read(path, **options):
    return read_annotations(path, ReadOptions(**options))


def write_example(folder):
    """Two points in each of four images; returns the project."""
    images = {}
    for i in range(4):
        write_image(folder / f"{i}.jpg", seed=i)
        images[f"{i}.jpg"] = [point("left", 3 + i, 4), point("right", 9, 5)]
    return write(folder / "via_project.json", project(listed(images)))


TRIANGLE = {"all_points_x": [0, 8, 8], "all_points_y": [0, 0, 4]}
IMAGES = {
    "a.jpg": [point("nose", 3, 4), rect(name="face"), point("chin", 5.5, 6)],
    "b.jpg": [],
    "c.jpg": [rect(0, 0, 4, 4, name="face"), region("polygon", TRIANGLE, name="ear")],
}


@pytest.mark.parametrize("form", ["project", "json", "csv", "#csv", "regions by number"])
def test_all_that_via_writes_says_the_same(tmp_path, form):
    path, attributes = tmp_path / "via.json", {"b.jpg": {"scene": "beach"}}
    metadata = listed(IMAGES, attributes)
    if form == "regions by number":  # as VIA 1 has them
        for entry in metadata.values():
            entry["regions"] = {str(i): one for i, one in enumerate(entry["regions"])}
    if form.endswith("csv"):
        path = write_table(tmp_path / "via.csv", IMAGES, attributes)
        path.write_text("#" * form.startswith("#") + path.read_text())
    else:
        write(path, project(metadata) if form == "project" else metadata)
    found = read(path, columns={}) if path.suffix == ".json" else read_annotations(path, ReadOptions(), "via")
    assert found.point_names == ("nose", "chin")
    assert {i.name: (i.labels, [(o.label, o.box, list(o.points)) for o in i.objects]) for i in found.images} == {
        "a.jpg": ([], [("face", Box(1, 2, 11, 7), []), ("", None, [3, 4, 2, 5.5, 6, 2])]),
        "b.jpg": (["beach"], []),
        "c.jpg": ([], [("face", Box(0, 0, 4, 4), []), ("ear", Box(0, 0, 8, 4), [])]),
    }
    assert found.images[2].objects[1].area_px2 == 16
    assert +found.left_out == {"outlines of the kind polygon, but for their boxes": 1}
    assert found.found == "VGG Image Annotator, 1 file: 3 images, 4 objects"


def test_other_shapes_keep_their_boxes(tmp_path):
    ellipse = {"cx": 20, "cy": 20, "rx": 10, "ry": 4, "theta": math.pi / 2}
    regions = [
        region("circle", {"cx": 10, "cy": 10, "r": 3}, type="ball"),
        region("ellipse", ellipse, type="eye"),
        region("polyline", {"all_points_x": [1, 5], "all_points_y": [9, 2]}, type=""),
        rect(type={"cat": True, "dog": True, "cow": False}),
    ]
    found = read(write(tmp_path / "a.json", listed({"a.jpg": regions})))
    assert [(o.label, o.box) for o in found.images[0].objects] == [
        ("ball", Box(7, 7, 13, 13)),
        ("eye", pytest.approx(Box(16, 10, 24, 30))),
        ("", Box(1, 2, 5, 9)),
        ("cat", Box(1, 2, 11, 7)),
        ("dog", Box(1, 2, 11, 7)),
    ]
    assert found.left_out["regions without a label"] == 1


def test_the_attribute_that_is_the_label(tmp_path):
    path = write(tmp_path / "a.json", listed({"a.jpg": [rect(kind="cat", sex="f"), rect(kind="dog", sex="m")]}))
    with pytest.raises(
        TableError, match=r"which attribute of regions is the label: kind, sex\? --format via --columns 'labels=kind'"
    ):
        read(path)
    found = read(path, columns={"labels": "sex"})
    assert [o.label for o in found.images[0].objects] == ["f", "m"]
    assert found.left_out["attributes 'kind' of regions"] == 2
    with pytest.raises(TableError, match="no region and no file has the attribute 'x'"):
        read(path, columns={"labels": "x"})
    found = read(write(tmp_path / "a.json", listed({"a.jpg": [rect(Class="cat", sex="f")]})))
    assert ([o.label for o in found.images[0].objects], len(found.notes)) == (["cat"], 1)


def test_the_user_says_which_attribute_is_the_label(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.json", listed({"a.jpg": [rect(kind="cat", sex="f")]}))
    assert console(["convert", "a.json"]) == 2
    assert "--format via --columns 'labels=kind' says it" in capsys.readouterr().err
    assert console(["convert", "a.json", "--format", "via", "--columns", "labels=kind"]) == 0
    assert (tmp_path / "labels.csv").read_text() == "fname,labels\na.jpg,cat\n"


def test_a_caption_is_no_label(tmp_path):
    attributes = {"a.jpg": {"caption": "a cat", "scene": {"indoor": True, "dark": False}}, "b.jpg": {"caption": "b"}}
    found = read(write(tmp_path / "a.json", listed({"a.jpg": [], "b.jpg": []}, attributes)))
    assert [i.labels for i in found.images] == [["indoor"], []]
    assert found.left_out["attributes 'caption' of files"] == 2


def test_folders_of_splits(tmp_path):
    for split, name in (("train", "1.jpg"), ("val", "1.jpg")):
        write(tmp_path / split / "via_region_data.json", listed({name: [rect(name="balloon")]}))
        write_image(tmp_path / split / name)
    found = read(tmp_path)
    assert found.folder == tmp_path
    assert [(i.name, i.split) for i in found.images] == [("train/1.jpg", "train"), ("val/1.jpg", "val")]


def test_json_goes_before_the_csv_of_the_same(tmp_path):
    write(tmp_path / "via.json", listed(IMAGES))
    write_table(tmp_path / "via.csv", IMAGES)
    assert read_annotations(tmp_path, ReadOptions(), "via").left_out["csv files beside VIA's json"] == 1


ERRORS = {
    r"regions\[1\]: a second point 'x' of one object. VIA does not": [point("x", 1, 1), point("x", 2, 2)],
    "a point has 0 names, not one": [point("x", 1, 1), region("point", {"cx": 1, "cy": 2})],
    r"cx: null is no number": [region("point", {"cy": 2}, name="x")],
    "cy: NaN is no number": [point("x", 1, float("nan"))],
    "negative width or height": [rect(width=-3, name="x")],
    'a region of the shape "star"': [region("star", {}, name="x")],
    "a polygon of 2 x and 3 y": [region("polygon", {"all_points_x": [1, 2], "all_points_y": [1, 2, 3]}, name="x")],
    "region_attributes: 3 is neither text nor": [rect(name=3)],
    r"regions\[0\]: shape_attributes: null is no JSON object": [{"region_attributes": {}}],
    "regions: null is no list": None,
}


@pytest.mark.parametrize("message", ERRORS)
def test_what_cannot_be_used_is_told(tmp_path, message):
    path = write(tmp_path / "a.json", project(listed({"a.jpg": ERRORS[message]})))
    with pytest.raises(TableError, match=message) as error:
        read(path)
    assert str(error.value).startswith(f"{path}: a.jpg123")


def test_files_that_cannot_be_used_are_told(tmp_path):
    metadata = listed({"a.jpg": [rect(name="x")]})
    with pytest.raises(TableError, match=r"b: the image a\.jpg is in .*a\.jpg123 already"):
        read(write(tmp_path / "a.json", {**metadata, "b": metadata["a.jpg123"]}))
    via_3 = {"project": {"pid": "1"}, "config": {}, "attribute": {}, "file": {}, "view": {}, "metadata": {}}
    with pytest.raises(TableError, match="a project of VIA 3, which is not read"):
        read(write(tmp_path / "a.json", via_3))
    path = write(tmp_path / "a.json", project(metadata))
    path.write_text(path.read_text()[:-40])
    with pytest.raises(TableError, match=r"a\.json: line 1, column \d+: not JSON"):
        read(path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (lambda lines: lines[:-1], "row 6: its region_count is 2, but 1 rows have a region"),
        (lambda lines: [*lines[:-1], lines[-1].replace("123", "7")], r"row 7: c\.jpg has another file_size"),
        (lambda lines: [*lines[:-1], lines[-1].replace('ear""}', 'ear""')], "row 7: region_attributes: .* is not JSON"),
        (lambda lines: [*lines, "x.jpg,1"], "row 8: it has 2 cells, not 7"),
    ],
)
def test_a_csv_that_cannot_be_used_is_told(tmp_path, changed, message):
    path = write_table(tmp_path / "a.csv", IMAGES)
    path.write_text("\n".join(changed(path.read_text().splitlines())) + "\n")
    with pytest.raises(TableError, match=message):
        read_annotations(path, ReadOptions(), "via")


@pytest.mark.parametrize("other", [{}, {"a": 1}, {"a": {"filename": "x"}}, {"project": {}, "view": {}}, ["filename"]])
def test_other_json_is_not_taken_for_it(tmp_path, other):
    assert not Via().recognises(Source(write(tmp_path / "a.json", other)))


def test_other_tables_are_not_taken_for_it(tmp_path):
    (tmp_path / "a.csv").write_text("filename,labels\na.jpg,cat\n")
    assert not Via().recognises(Source(tmp_path / "a.csv"))
    assert Via().recognises(Source(write_table(tmp_path / "b.csv", IMAGES)))


def test_init_writes_points(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_example(tmp_path / "via")
    assert console(["init", "via"]) == 0
    assert "VGG Image Annotator, 1 file: 4 images, 4 objects" in capsys.readouterr().out
    assert (tmp_path / "points.csv").read_text().splitlines()[:2] == [
        "fname,left_x,left_y,right_x,right_y",
        "0.jpg,3,4,9,5",
    ]
    assert read_keypoint_table(tmp_path / "points.csv")["left_x"].tolist() == [3, 4, 5, 6]
