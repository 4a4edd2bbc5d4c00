"""COCO's json."""

import contextlib
import io
import json

import pytest
from pycocotools.coco import COCO

from lightning_tasks.__main__ import console
from lightning_tasks.data.tables.formats.annotations import Box
from lightning_tasks.data.tables.formats.coco.reader import Coco
from lightning_tasks.data.tables.formats.reader import ReadOptions
from lightning_tasks.data.tables.formats.readers import read_annotations
from lightning_tasks.data.tables.formats.source import Source
from lightning_tasks.errors import TableError
from lightning_tasks.tasks.keypoints.table import read_keypoint_table
from tests.fakes import write_image

POINTS = ["nose", "left_eye", "right_eye"]
PERSON = {"id": 1, "name": "person", "supercategory": "person", "keypoints": POINTS, "skeleton": [[1, 2]]}
CATEGORIES = [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}, {"id": 90, "name": "toothbrush"}]


def image(key, name):
    return {"id": key, "file_name": name, "width": 32, "height": 24}


def thing(key, of, category=18, bbox=(1, 2, 10, 5.5), **more):
    return {"id": key, "image_id": of, "category_id": category, "bbox": list(bbox), "area": 50, "iscrowd": 0, **more}


def person(key, of, keypoints=(3, 4, 2, 5, 6, 1, 0, 0, 0), **more):
    n = sum(v > 0 for v in keypoints[2::3])
    return thing(key, of, 1, keypoints=list(keypoints), **{"num_keypoints": n, **more})


def content(images, annotations, categories=CATEGORIES):
    return {"info": {}, "licenses": [], "images": images, "annotations": annotations, "categories": categories}


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))
    return path


def read(path, **options):
    return read_annotations(path, ReadOptions(**options))


def write_example(folder):
    """COCO's own layout: two splits, instances and keypoints of the same images; returns the folder."""
    sides = (("train2017", [(7, "a.jpg"), (8, "b.jpg")], 100), ("val2017", [(9, "c.jpg"), (3, "d.jpg")], 200))
    for split, images, first in sides:
        listed = [image(*entry) for entry in images]
        persons = [person(first + i, key) for i, (key, _) in enumerate(images)]
        boxes = [{k: v for k, v in entry.items() if "keypoints" not in k} for entry in persons]
        dogs = [thing(first + 50, images[1][0], segmentation=[[1, 1, 2, 2, 3, 1]])]
        write(folder / f"annotations/instances_{split}.json", content(listed, [*boxes, *dogs]))
        write(folder / f"annotations/person_keypoints_{split}.json", content(listed, persons, [PERSON]))
        for _, name in images:
            write_image(folder / split / name)
    captions = [{"id": 1, "image_id": 7, "caption": "a dog"}]
    write(folder / "annotations/captions_train2017.json", content([image(7, "a.jpg")], captions))
    return folder


def test_what_pycocotools_says_of_a_file_is_read(tmp_path):
    images = [image(5, "a.jpg"), image(2, "b.jpg"), image(9, "none.jpg")]
    things = [
        person(1, 5),
        thing(3, 2, iscrowd=1, area=7.5, segmentation={"counts": [1], "size": [24, 32]}),
        thing(2, 5),
    ]
    path = write(tmp_path / "boxes.json", content(images, things, [PERSON, *CATEGORIES[1:]]))
    found = read(path)
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(path)
    by_name = {entry.name: entry for entry in found.images}
    assert list(by_name) == [entry["file_name"] for entry in coco.dataset["images"]]
    for key in coco.getImgIds():
        theirs = coco.loadAnns(coco.getAnnIds(imgIds=key))
        ours = by_name[coco.imgs[key]["file_name"]].objects
        assert [one.label for one in ours] == [coco.cats[one["category_id"]]["name"] for one in theirs]
        assert [[b.x0, b.y0, b.x1 - b.x0, b.y1 - b.y0] for b in (one.box for one in ours)] == [
            o["bbox"] for o in theirs
        ]
        assert [(one.area_px2, one.is_crowd) for one in ours] == [(o["area"], bool(o["iscrowd"])) for o in theirs]
        assert [list(one.points) for one in ours] == [o.get("keypoints", []) for o in theirs]
    assert (found.point_names, found.vocab) == (tuple(POINTS), ("person", "dog", "toothbrush"))
    assert found.left_out == {"segmentation masks": 1}
    assert found.found == "COCO json, 1 file: 3 images, 3 objects"


def test_a_folder_as_coco_lays_it_out(tmp_path):
    found = read(write_example(tmp_path))
    assert found.folder == tmp_path
    assert {(i.name, i.split): [(o.label, len(o.points)) for o in i.objects] for i in found.images} == {
        ("train2017/a.jpg", "train"): [("person", 9)],
        ("train2017/b.jpg", "train"): [("person", 9), ("dog", 0)],
        ("val2017/c.jpg", "val"): [("person", 9)],
        ("val2017/d.jpg", "val"): [("person", 9), ("dog", 0)],
    }
    assert found.left_out == {"segmentation masks": 2, "files of captions": 1}
    assert found.notes == [
        f"instances_{split}.json and person_keypoints_{split}.json list the same images: an annotation (id) that is in "
        "both counts once"
        for split in ("train2017", "val2017")
    ]


def test_a_folder_as_roboflow_lays_it_out(tmp_path):
    for split in ("train", "valid", "test"):
        write(tmp_path / split / "_annotations.coco.json", content([image(0, "x.rf.1.jpg")], [thing(0, 0)]))
        write_image(tmp_path / split / "x.rf.1.jpg")
    found = read(tmp_path)
    assert [(i.name, i.split) for i in found.images] == [
        ("test/x.rf.1.jpg", "test"),
        ("train/x.rf.1.jpg", "train"),
        ("valid/x.rf.1.jpg", "val"),
    ]


@pytest.mark.parametrize(
    ("places", "given", "expected"),
    [
        (["images/default/a.jpg"], None, "images/default"),
        (["a.jpg"], None, ""),
        (["annotations/a.jpg", "other/a.jpg"], "other", "other"),
        (["photos/default/a.jpg"], "photos", "photos/default"),
        (["elsewhere/a.jpg"], None, "annotations"),
    ],
)
def test_the_images_are_found(tmp_path, places, given, expected):
    for place in places:
        write_image(tmp_path / place)
    path = write(tmp_path / "annotations/instances_default.json", content([image(1, "a.jpg")], [thing(1, 1)]))
    found = read(path, images=given and tmp_path / given)
    assert (found.folder, found.images[0].name) == (tmp_path / expected, "a.jpg")


@pytest.mark.parametrize("name", [r"C:\data\a.jpg", "http://x.org/up/a.jpg?q=1", "A", "imgs/deep/a.jpg"])
def test_names_of_another_machine_are_found(tmp_path, name):
    write_image(tmp_path / "pictures/a.jpg")
    path = write(tmp_path / "coco.json", content([image(1, name)], [thing(1, 1)]))
    found = read(path)
    assert (found.folder / found.images[0].name).samefile(tmp_path / "pictures/a.jpg")


def test_labels_of_images_without_a_place_in_them(tmp_path):
    labels = [{"id": i, "image_id": 1, "category_id": key} for i, key in enumerate((18, 90))]
    labels[0]["attributes"] = {"occluded": False}
    found = read(write(tmp_path / "a.json", content([image(1, "a.jpg")], [*labels, thing(7, 1, 1)])))
    assert found.notes == ["not read of the annotations: attributes"]
    assert (found.images[0].labels, [o.label for o in found.images[0].objects]) == (["dog", "toothbrush"], ["person"])
    assert found.images[0].split == ""


def test_categories_with_different_points_share_the_columns(tmp_path):
    cat = {"id": 2, "name": "cat", "keypoints": ["nose", "tail"]}
    never = {"id": 3, "name": "cow", "keypoints": ["horn"]}
    things = [person(1, 1), thing(2, 2, 2, keypoints=[1, 1, 2, 8, 9, 1], num_keypoints=2)]
    images = [image(1, "a.jpg"), image(2, "b.jpg")]
    found = read(write(tmp_path / "a.json", content(images, things, [PERSON, cat, never])))
    assert found.point_names == ("nose", "left_eye", "right_eye", "tail")
    assert [list(i.objects[0].points) for i in found.images] == [
        [3, 4, 2, 5, 6, 1, 0, 0, 0, 0, 0, 0],
        [1, 1, 2, 0, 0, 0, 0, 0, 0, 8, 9, 1],
    ]
    assert found.notes == ["labels name different points: an object lacks those of the other labels"]


def test_files_with_different_points_share_the_columns(tmp_path):
    cat = {"id": 1, "name": "cat", "keypoints": ["tail", "nose"]}
    write(tmp_path / "1.json", content([image(1, "a.jpg")], [person(1, 1)], [PERSON]))
    cats = [thing(1, 1, 1, keypoints=[8, 9, 1, 1, 1, 2], num_keypoints=2)]
    write(tmp_path / "2.json", content([image(1, "b.jpg")], cats, [cat]))
    found = read(tmp_path)
    assert found.point_names == ("nose", "left_eye", "right_eye", "tail")
    assert [list(i.objects[0].points)[-3:] for i in found.images] == [[0, 0, 0], [8, 9, 1]]
    assert list(found.images[1].objects[0].points)[:3] == [1, 1, 2]


def test_a_person_without_a_labelled_point_has_none(tmp_path):
    things = [person(1, 1), person(2, 1, [0] * 9)]
    found = read(write(tmp_path / "a.json", content([image(1, "a.jpg")], things, [PERSON])))
    assert [len(o.points) for o in found.images[0].objects] == [9, 0]
    assert found.images[0].objects[1].box == Box(1, 2, 11, 7.5)


ONE = [image(1, "a.jpg")]
ERRORS = {
    "not among the ids of images, whose first is 1": content(ONE, [thing(4, 99)]),
    '"1" is not among the ids of images, whose first is 1': content(ONE, [thing(4, "1")]),
    "category_id 3 is not among the ids of categories": content(ONE, [thing(4, 1, 3)]),
    "not among the ids of categories, of which there are none": content(ONE, [thing(4, 1)], []),
    r"annotations\[1\] \(id 4\): a second annotation of this id": content(ONE, [thing(4, 1), thing(4, 1)]),
    r"images\[1\] \(id 1\): a second image of this id": content([*ONE, image(1, "b.jpg")], []),
    "a second image of the file_name 'a.jpg'": content([*ONE, image(2, "a.jpg")], []),
    r"categories\[1\] \(id 1\): a second category": content(ONE, [], [CATEGORIES[0], CATEGORIES[0]]),
    r"images\[0\] \(id 1\): file_name: null is no name": content([{"id": 1}], []),
    r"images\[0\] \(id 1.5\): its id is neither": content([image(1.5, "a.jpg")], []),
    r"images\[0\]: 3 is no JSON object": content([3], []),
    r"annotations\[0\]: its id is neither": content(ONE, [{"image_id": 1, "category_id": 18}]),
    "bbox: it has 3 values, not 4": content(ONE, [thing(4, 1, bbox=[1, 2, 3])]),
    r"annotations\[0\] \(id 4\): bbox: a width or a height of -3": content(ONE, [thing(4, 1, bbox=[1, 2, 3, -3])]),
    "bbox: NaN is no number": content(ONE, [thing(4, 1, bbox=[1, 2, float("nan"), 4])]),
    'bbox: "2" is no number': content(ONE, [thing(4, 1, bbox=[1, "2", 3, 4])]),
    "bbox: true is no number": content(ONE, [thing(4, 1, bbox=[1, True, 3, 4])]),
    "area: -1 is no area": content(ONE, [thing(4, 1, area=-1)]),
    "iscrowd: 2 is neither 0 nor 1": content(ONE, [thing(4, 1, iscrowd=2)]),
    "keypoints: it has 8 values, not 9": content(ONE, [person(4, 1, [1, 1, 2] * 2 + [0, 0])], [PERSON]),
    "keypoints: Infinity is no number": content(ONE, [person(4, 1, [float("inf"), 1, 2] * 3)], [PERSON]),
    "keypoints: a visibility of 3, which": content(ONE, [person(4, 1, [1, 1, 3] * 3)], [PERSON]),
    "num_keypoints is 1, but 2 of its keypoints": content(ONE, [person(4, 1, num_keypoints=1)], [PERSON]),
    "its category 'person' does not name them": content(ONE, [person(4, 1)]),
    "several of its keypoints are called 'x'": content(ONE, [], [{**PERSON, "keypoints": ["x", "x"]}]),
    "called 'person' and has other keypoints": content(ONE, [], [PERSON, {**PERSON, "id": 2, "keypoints": ["x"]}]),
    "panoptic segmentation. Give": content(ONE, [{"image_id": 1, "segments_info": []}]),
    "captions, which are no labels": content(ONE, [{"id": 1, "image_id": 1, "caption": "a dog"}]),
    "results: predictions, which name no files": [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 1}],
}


@pytest.mark.parametrize("message", ERRORS)
def test_what_cannot_be_used_is_told(tmp_path, message):
    with pytest.raises(TableError, match=message) as error:
        read(write(tmp_path / "a.json", ERRORS[message]))
    assert str(error.value).startswith(f"{tmp_path / 'a.json'}: ")


def test_a_file_that_is_cut_off_is_told_with_its_line(tmp_path):
    text = json.dumps(content(ONE, [thing(1, 1)]), indent=1)
    (tmp_path / "a.json").write_text(text[:-200])
    with pytest.raises(TableError, match=r"a\.json: line \d+, column \d+: not JSON"):
        read(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (content([image(2, "a.jpg")], []), r"image 2 \(a.jpg\): it is the same file as image 1 of .*1_train.json"),
        (content(ONE, []), "it is of val, and in .*1_train.json it is of train"),
        (content(ONE, [thing(1, 1, 1)]), "annotation 1 says something else in .*1_train.json"),
        (content(ONE, [thing(1, 1, bbox=[0, 0, 1, 1])]), "annotation 1 says something else"),
    ],
)
def test_files_that_contradict_each_other_are_told(tmp_path, second, message):
    write(tmp_path / "1_train.json", content(ONE, [thing(1, 1)]))
    write(tmp_path / ("2_val.json" if "of val" in message else "2_train.json"), second)
    with pytest.raises(TableError, match=message):
        read(tmp_path)


@pytest.mark.parametrize(
    "other",
    [
        {"version": "5.0", "flags": {}, "shapes": [], "imagePath": "a.jpg"},
        [{"id": 1, "annotations": [{"result": []}], "data": {"image": "a.jpg"}}],
        {"images": 3},
        {"images": ["a.jpg"], "labels": []},
    ],
)
def test_other_json_is_not_taken_for_it(tmp_path, other):
    write(tmp_path / "a.json", other)
    write_image(tmp_path / "a.jpg")
    assert not any(Coco().recognises(Source(path)) for path in (tmp_path, tmp_path / "a.json"))


def test_init_writes_points_or_all_labels(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_example(tmp_path / "coco")
    assert console(["init", "coco"]) == 0
    assert "4 images" in capsys.readouterr().out
    assert (tmp_path / "points.csv").read_text().splitlines()[:2] == [
        "fname,split,nose_x,nose_y,left_eye_x,left_eye_y,right_eye_x,right_eye_y,"
        "nose_visible,left_eye_visible,right_eye_visible",
        "train2017/a.jpg,train,3,4,5,6,,,2,1,0",
    ]
    table = read_keypoint_table(tmp_path / "points.csv")
    assert table["left_eye_x"].tolist() == [5.0] * 4
    assert table["right_eye_x"].isna().all()
    assert console(["init", "coco", "--task", "multilabel"]) == 0
    assert (tmp_path / "labels.csv").read_text().splitlines() == [
        "fname,split,labels",
        "train2017/a.jpg,train,person",
        "train2017/b.jpg,train,person;dog",
        "val2017/c.jpg,val,person",
        "val2017/d.jpg,val,person;dog",
    ]
