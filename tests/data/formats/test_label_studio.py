"""Label Studio's JSON and JSON-MIN."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_tasks.__main__ import console
from lightning_tasks.data.tables.formats.annotations import Box
from lightning_tasks.data.tables.formats.label_studio.reader import LabelStudio
from lightning_tasks.data.tables.formats.label_studio.results import read_results
from lightning_tasks.data.tables.formats.reader import ReadOptions
from lightning_tasks.data.tables.formats.readers import read_annotations
from lightning_tasks.data.tables.formats.source import Source
from lightning_tasks.errors import TableError
from lightning_tasks.tasks.keypoints.table import read_keypoint_table
from tests.fakes import write_image

SIZE = {"original_width": 200, "original_height": 100, "image_rotation": 0}


def result(kind, value, key=None, control="tag", size=SIZE, **more):
    named = {} if key is None else {"id": key}
    return {**size, **named, "value": value, "from_name": control, "to_name": "image", "type": kind, **more}


def choice(*words, control="choice", kind="choices", **more):
    return result(kind, {kind: list(words)}, control=control, size={}, **more)


def point(name, x, y, **more):
    return result("keypointlabels", {"x": x, "y": y, "width": 0.4, "keypointlabels": [name]}, **more)


def rectangle(name, x, y, width, height, rotation=0, **more):
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": rotation, "rectanglelabels": [name]}
    return result("rectanglelabels", value, **more)


def annotation(results, **more):
    flags = {
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": "2024-01-30T02:40:43.893565Z",
        "lead_time": 8.6,
    }
    return {"id": 22, "completed_by": 1, "result": results, **flags, **more}


def task(results=(), image="/data/upload/29/0a1b2c3d-a.jpg", key=87, annotations=None, **more):
    given = [annotation(list(results))] if annotations is None else annotations
    return {
        "id": key,
        "annotations": given,
        "drafts": [],
        "predictions": [],
        "data": {"image": image},
        "meta": {},
        **more,
    }


def write(path, tasks):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(tasks))
    return path


def read(path, **options):
    return read_annotations(path, ReadOptions(**options))


def only(tmp_path, results, **more):
    """Return what is read of one task with these results."""
    return read(write(tmp_path / "project.json", [task(results, **more)]))


def write_example(folder):
    """Two points in each of four images; returns the json file."""
    for i in range(4):
        write_image(folder / f"images/{i}.jpg", (100, 200), seed=i)
    tasks = [
        task([point("left", 10 + i, 50), point("right", 20.25, 30)], f"/data/upload/1/0a1b2c3d-{i}.jpg", i)
        for i in range(4)
    ]
    return write(folder / "project-1-at-2024.json", tasks)


def test_choices_are_labels_and_numbers_values(tmp_path):
    found = only(
        tmp_path,
        [
            choice("cat", "dog"),
            choice(["Animals", "Cat"], ["Plants"], control="tree", kind="taxonomy"),
            result("number", {"number": 3}, control="count", size={}),
            result("rating", {"rating": 4}, control="stars", size={}),
            result("textarea", {"text": ["a note"]}, control="note", size={}),
            {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right"},
        ],
    )
    assert found.images[0].labels == ["cat", "dog", "Animals/Cat", "Plants"]
    assert (found.images[0].values, found.value_names) == ({"count": 3, "stars": 4}, ("count", "stars"))
    assert +found.left_out == {"results of the type textarea": 1, "results of the type relation": 1}


def test_questions_with_the_same_answers_are_told_apart(tmp_path):
    found = only(tmp_path, [choice("yes", control="cat?"), choice("yes", control="dog?")])
    assert found.images[0].labels == ["cat?/yes", "dog?/yes"]
    assert found.notes == ["cat?, dog? have words in common: labels are written as control/word"]


@pytest.mark.parametrize("shown_at", [0, 90, 180, 270])
def test_percents_are_of_the_image_however_it_was_turned_on_the_screen(tmp_path, shown_at):
    size = {**SIZE, "image_rotation": shown_at}
    found = only(tmp_path, [point("nose", 3.1, 8.2, size=size), rectangle("face", 10, 20, 30, 40, size=size)])
    box, points = found.images[0].objects
    assert (box.label, box.box, box.area_px2) == ("face", Box(20, 20, 80, 60), 2400)
    assert list(points.points) == pytest.approx([6.2, 8.2, 2])


def test_a_rectangle_turns_about_its_corner(tmp_path):
    found = only(tmp_path, [rectangle("a", 20, 10, 30, 10, 90), rectangle("b", 50, 50, 10, 20, 30)])
    assert found.images[0].objects[0].box == pytest.approx(Box(30, 10, 40, 70))
    cos, sin = math.cos(math.pi / 6), math.sin(math.pi / 6)
    expected = Box(100 - 20 * sin, 50, 100 + 20 * cos, 50 + 20 * sin + 20 * cos)
    assert found.images[0].objects[1].box == pytest.approx(expected)


def test_other_regions_keep_box_and_label(tmp_path):
    ellipse = {"x": 50, "y": 50, "radiusX": 10, "radiusY": 5, "rotation": 0, "ellipselabels": ["ball"]}
    polygon = {"points": [[0, 0], [10, 0], [10, 40]], "closed": True, "polygonlabels": ["cat"]}
    corner = {"x": 10, "y": 10, "width": 10, "height": 10, "rotation": 0}
    found = only(
        tmp_path,
        [
            result("ellipselabels", ellipse, "r1"),
            result("polygonlabels", polygon, "r2"),
            result("brushlabels", {"format": "rle", "rle": [1, 2], "brushlabels": ["sky"]}, "r3"),
            result("rectangle", corner, "r4", "rect"),
            result("labels", {**corner, "labels": ["car"]}, "r4", "labels"),
            choice("red", control="colour", id="r4"),
        ],
    )
    assert [(o.label, o.box) for o in found.images[0].objects] == [
        ("ball", Box(80, 45, 120, 55)),
        ("cat", Box(0, 0, 20, 40)),
        ("sky", None),
        ("car", Box(20, 10, 40, 20)),
    ]
    assert found.images[0].objects[1].area_px2 == 400
    assert found.images[0].labels == []
    assert +found.left_out == {
        "outlines of the kind ellipse, but for their boxes": 1,
        "outlines of the kind polygon, but for their boxes": 1,
        "brushed masks, but for their labels": 1,
        "choices and numbers of regions": 1,
    }


def test_points_are_of_the_region_that_is_their_parent(tmp_path):
    found = only(
        tmp_path,
        [
            point("nose", 1, 1, key="p1", parentID="r1"),
            rectangle("dog", 0, 0, 50, 50, key="r1"),
            rectangle("cat", 50, 50, 50, 50, key="r2"),
            point("nose", 60, 60, key="p2", parentID="r2"),
            point("tail", 70, 70, key="p3", parentID="r2"),
        ],
    )
    assert found.point_names == ("nose", "tail")
    assert [(o.label, list(o.points)) for o in found.images[0].objects] == [
        ("dog", [2, 1, 2, 0, 0, 0]),
        ("cat", [120, 60, 2, 140, 70, 2]),
    ]


def test_of_several_annotations_the_ground_truth_counts_or_the_last(tmp_path):
    def made(word, at, **more):
        return annotation([choice(word)], created_at=f"2024-01-0{at}T00:00:00Z", **more)

    tasks = [
        task(image="a.jpg", key=1, annotations=[made("first", 1), made("last", 3), made("mid", 2)]),
        task(image="b.jpg", key=2, annotations=[made("truth", 1, ground_truth=True), made("other", 2)]),
        task(image="c.jpg", key=3, annotations=[made("skipped", 1, was_cancelled=True)]),
        task(image="d.jpg", key=4, annotations=[annotation([])], predictions=[{"result": [choice("guess")]}]),
        task(image="e.jpg", key=5, annotations=[]),
    ]
    found = read(write(tmp_path / "a.json", tasks))
    assert {i.name: i.labels for i in found.images} == {"a.jpg": ["last"], "b.jpg": ["truth"], "d.jpg": []}
    assert +found.left_out == {
        "annotations beside the ground truth or the last one of the same task": 3,
        "cancelled annotations": 1,
        "predictions": 1,
        "tasks without an annotation": 2,
    }


@pytest.mark.parametrize(
    "name",
    [
        "/data/upload/29/0a1b2c3d-cat%201.jpg",
        "/data/local-files/?d=photos/cat%201.jpg",
        "s3://bucket/photos/cat 1.jpg",
        "https://example.com/x/cat%201.jpg?token=a/b.png",
    ],
)
def test_the_images_are_found(tmp_path, name):
    write_image(tmp_path / "photos/cat 1.jpg")
    found = only(tmp_path, [choice("cat")], image=name)
    assert (found.folder / found.images[0].name).samefile(tmp_path / "photos/cat 1.jpg")


def test_an_image_tells_its_size_where_the_result_does_not(tmp_path):
    write_image(tmp_path / "a.jpg", (100, 200))
    found = only(tmp_path, [point("nose", 50, 50, size={})], image="a.jpg")
    assert list(found.images[0].objects[0].points) == [100, 50, 2]


MIN = {"id": 87, "annotator": 1, "annotation_id": 22, "created_at": "2024-01-30", "updated_at": "x", "lead_time": 8.6}


def test_json_min(tmp_path):
    sizes = {"original_width": 200, "original_height": 100}
    records = [
        {
            "image": "a.jpg",
            "choice": "cat",
            "kp-1": [{"x": 3, "y": 8, "width": 0.4, "keypointlabels": ["nose"], **sizes}],
            "box": [{"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0, "rectanglelabels": ["face"], **sizes}],
            "stars": [{"rating": 4}],
            "tree": [{"taxonomy": [["A", "b"]]}],
            **MIN,
        },
        {"image": "b.jpg", "choice": {"choices": ["cat", "dog"]}, **MIN, "id": 88},
        {"image": "b.jpg", "choice": "old", **MIN, "id": 88, "created_at": "2024-01-01"},
    ]
    found = read(write(tmp_path / "a.json", records))
    assert [(i.name, i.labels, i.values) for i in found.images] == [
        ("a.jpg", ["cat", "A/b"], {"stars": 4}),
        ("b.jpg", ["cat", "dog"], {}),
    ]
    assert [(o.label, o.box, list(o.points)) for o in found.images[0].objects] == [
        ("face", Box(20, 20, 80, 60), []),
        ("", None, [6, 8, 2]),
    ]
    assert +found.left_out == {"annotations beside the ground truth or the last one of the same task": 1}
    assert found.notes == []


def test_json_min_with_text_of_the_task(tmp_path):
    path = write(tmp_path / "a.json", [{"image": "a.jpg", "caption": "hello", "choice": "cat", **MIN}])
    with pytest.raises(
        TableError, match=r"which of caption, choice holds choices.*--format label-studio --columns 'labels=caption'"
    ):
        read(path)
    assert read(path, columns={"labels": "choice"}).images[0].labels == ["cat"]
    found = read(write(tmp_path / "a.json", [{"image": "a.jpg", "choice": "cat", **MIN}]))
    assert (found.images[0].labels, len(found.notes)) == (["cat"], 1)


ERRORS = {
    r"a second point 'nose' of one object. Draw a rectangle": [task([point("nose", 1, 1), point("nose", 2, 2)])],
    r"\[0\] \(id 87\): annotations\[0\]: result\[0\]: position 0: NaN is no number": [
        task([point("a", float("nan"), 1)])
    ],
    "a point has 0 labels": [task([result("keypointlabels", {"x": 1, "y": 1, "width": 1, "keypointlabels": []})])],
    "original_height: null is no number": [task([point("a", 1, 1, size={"original_width": 9})])],
    "it has no original_width, and the image is not there": [task([point("a", 1, 1, size={})])],
    "image_rotation: 45 is none of": [task([point("a", 1, 1, size={**SIZE, "image_rotation": 45})])],
    "negative width": [task([rectangle("a", 1, 1, -3, 4)])],
    "a polygon of 2 points": [task([result("polygonlabels", {"points": [[1, 1], [2, 2]], "polygonlabels": ["a"]})])],
    "choices: null is no list": [task([result("choices", {"choices": None})])],
    "number: true is no number": [task([result("number", {"number": True})])],
    "a second number of 'n'": [task([result("number", {"number": 1}, control="n")] * 2)],
    "image: a task of several images": [task([choice("a")], image=["a.jpg", "b.jpg"])],
    r"\[1\] \(id 88\).*the image a.jpg is that of .*\(id 87\)": [task([], "a.jpg"), task([], "a.jpg", 88)],
    "annotations: 3 is no list": [task([choice("a")]), {"id": 1, "data": {"image": "b.jpg"}, "annotations": 3}],
    "it has predictions alone, which nobody has accepted": [{"data": {"image": "a.jpg"}, "predictions": []}],
    "result: null is no list": [task(annotations=[annotation(None)])],
    r"which of x, y is the image\? --format label-studio --columns": [
        {**task([choice("a")]), "data": {"x": "a.jpg", "y": "b.jpg"}}
    ],
}


@pytest.mark.parametrize("message", ERRORS)
def test_what_cannot_be_used_is_told(tmp_path, message):
    path = write(tmp_path / "a.json", ERRORS[message])
    with pytest.raises(TableError, match=message) as error:
        read(path)
    assert str(error.value).startswith(f"{path}: ")


def test_a_file_that_is_cut_off_is_told_with_its_line(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps([task([choice("a")])], indent=1)[:-50])
    with pytest.raises(TableError, match=r"a\.json: line \d+, column \d+: not JSON"):
        read(tmp_path / "a.json")


@pytest.mark.parametrize("other", [[], [1], [{"image_id": 1}], [{"data": {}}], {"annotations": [], "images": []}])
def test_other_json_is_not_taken_for_it(tmp_path, other):
    assert not LabelStudio().recognises(Source(write(tmp_path / "a.json", other)))


PERCENT = st.floats(0, 100)


@settings(max_examples=50, deadline=None)
@given(PERCENT, PERCENT, PERCENT, PERCENT, st.floats(-360, 360))
def test_a_turned_rectangle_holds_its_corner_and_keeps_its_area(x, y, width, height, degrees):
    from collections import Counter

    (found,) = read_results([rectangle("a", x, y, width, height, degrees)], "", lambda: None, Counter()).shapes
    box = found.box
    assert box.x0 - 1e-6 <= 2 * x <= box.x1 + 1e-6
    assert box.y0 - 1e-6 <= y <= box.y1 + 1e-6
    assert found.area_px2 == pytest.approx(2 * width * height)
    assert found.area_px2 <= box.area_px2 + 1e-6 * (1 + box.area_px2)


def test_init_writes_points(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert console(["init", str(write_example(tmp_path / "ls").relative_to(tmp_path))]) == 0
    assert "Label Studio JSON, 1 file: 4 images" in capsys.readouterr().out
    assert (tmp_path / "points.csv").read_text().splitlines()[:2] == [
        "fname,left_x,left_y,right_x,right_y",
        "images/0.jpg,20.0,50.0,40.5,30.0",
    ]
    assert read_keypoint_table(tmp_path / "points.csv")["left_x"].tolist() == [20, 22, 24, 26]
