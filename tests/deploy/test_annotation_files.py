"""Predictions as pre-annotations: what is read back is what the csv says."""

import contextlib
import csv
import io
import json
import os
import shutil
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import get_args
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO

import lightning_tasks.verbs.predict as verb
from lightning_tasks.__main__ import console
from lightning_tasks.data.tables.formats.reader import ReadOptions
from lightning_tasks.data.tables.formats.readers import read_annotations
from lightning_tasks.deploy.annotation_files.file import AnnotationFile
from lightning_tasks.deploy.annotation_files.formats import WRITERS, Format, names_in_file
from lightning_tasks.deploy.annotation_files.writer import ImageEntry
from lightning_tasks.deploy.prediction_table import Row
from lightning_tasks.deploy.sources import find_images
from lightning_tasks.errors import ConfigError
from lightning_tasks.tasks.keypoints.output import PointPrediction
from lightning_tasks.tasks.multilabel.output import LabelFormat
from lightning_tasks.tasks.prediction import Annotation, AnnotationNames, NamedNumber, NamedPoint, ScoredLabel
from lightning_tasks.tasks.values.regressor import ValueRegressor
from tests.fakes import write_image

pytestmark = pytest.mark.filterwarnings("ignore:.*old name still read")  # the recorded checkpoints are old

RECORDED = Path(__file__).parents[1] / "recorded"
QUIET = ["--device", "cpu", "--progress", "false"]
SIZES = {"wide.png": (64, 36), "turned.png": (40, 56), "grey.png": (48, 48), "tiny.png": (20, 17)}  # upright
FILES = {"coco": "p.json", "label-studio": "ls.json", "cvat": "p.xml"}


def best(variant):
    return str(RECORDED / "runs" / variant / "version_0/checkpoints/best.ckpt")


@pytest.fixture(scope="module", params=["labels", "one_label", "points"])
def predicted(request, tmp_path_factory):
    """A folder of a checkpoint's predictions as csv and in each format, of four images and a broken one."""
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "in").mkdir()
    for name in ("broken.png", *SIZES):
        shutil.copy(RECORDED / "data" / name, folder / "in")
    with contextlib.chdir(folder):
        for options in ([], *(["--format", name, "--output", file] for name, file in FILES.items())):
            assert console(["predict", best(request.param), "in", "--batch_size", "2", *options, *QUIET]) == 1
    return folder


@pytest.fixture
def rows(predicted):
    """The csv's rows by the name below the folder, and for each its place among the images."""
    with (predicted / "predictions.csv").open(newline="", encoding="utf-8") as file:
        read = [row | {"position": i} for i, row in enumerate(csv.DictReader(file))]
    return {row["fname"].removeprefix("in/"): row for row in read if not row["error"]}


def labels_of(row):
    separator = ";" if "none of them" in row else " "
    return [label for label in row.get("predicted", "").split(separator) if label]


def points_of(row):
    return {name: (float(row[f"{name}_x"]), float(row[f"{name}_y"])) for name in "lr" if f"{name}_x" in row}


def test_pycocotools_loads_what_the_csv_says(predicted, rows):
    coco = COCO(predicted / "p.json")
    images = {image["file_name"]: image for image in coco.imgs.values()}
    assert {name: (image["width"], image["height"]) for name, image in images.items()} == SIZES
    assert {name: image["id"] for name, image in images.items()} == {n: row["position"] + 1 for n, row in rows.items()}
    for name, row in rows.items():
        objects = coco.loadAnns(coco.getAnnIds(imgIds=images[name]["id"], iscrowd=0))
        categories = [coco.cats[found["category_id"]] for found in objects]
        width, height = SIZES[name]
        if labels := labels_of(row):
            assert [category["name"] for category in categories] == labels
            for found in objects:
                score = float(row[coco.cats[found["category_id"]]["name"]])
                assert found["score"] == score
                assert (found["bbox"], found["area"]) == ([0, 0, width, height], width * height)
        elif points := points_of(row):
            [found], [category] = objects, categories
            triples = np.reshape(found["keypoints"], (-1, 3))
            assert dict(zip(category["keypoints"], map(tuple, triples[:, :2].tolist()), strict=True)) == points
            assert (triples[:, 2] == 2).all()
            assert (found["num_keypoints"], category["skeleton"], "score" in found) == (2, [], False)
            low, high = np.min(list(points.values()), 0), np.max(list(points.values()), 0)
            assert found["bbox"] == pytest.approx([*low, *(high - low)], abs=1e-6)
            assert found["area"] == pytest.approx(np.prod(high - low), abs=1e-6)
        else:
            assert objects == []


def test_our_readers_bring_back_what_was_predicted(predicted, rows):
    tasks = json.loads((predicted / "ls.json").read_text(encoding="utf-8"))
    accepted = [{**task, "annotations": task["predictions"], "predictions": []} for task in tasks]
    (predicted / "accepted.json").write_text(json.dumps(accepted), encoding="utf-8")
    for file in ("p.json", "accepted.json", "p.xml"):
        found = read_annotations(predicted / file, ReadOptions(images=predicted / "in"))
        assert [image.name for image in found.images] == list(rows)
        for image in found.images:
            row = rows[image.name]
            assert [*image.labels, *(o.label for o in image.objects if not o.points)] == labels_of(row)
            numbers = [number for point in points_of(row).values() for number in (*point, 2)]
            told = [number for thing in image.objects for number in thing.points]
            assert told == pytest.approx(numbers, abs=1e-3)
        assert found.point_names == tuple(points_of(next(iter(rows.values()))))


def test_label_studio_has_what_the_csv_says(predicted, rows):
    tasks = {task["data"]["image"]: task for task in json.loads((predicted / "ls.json").read_text(encoding="utf-8"))}
    assert list(tasks) == list(rows)
    config = ElementTree.parse(predicted / "ls.label_config.xml").getroot()
    tags = {tag.get("name"): tag for tag in config}
    assert config.tag == "View"
    assert tags["image"].get("value") == "$image"
    ids = Counter()
    for name, row in rows.items():
        [prediction] = tasks[name]["predictions"]
        assert prediction["model_version"].endswith("best.ckpt")
        results, labels, points = prediction["result"], labels_of(row), points_of(row)
        ids.update(result["id"] for result in results)
        for result in results:
            tag = tags[result["from_name"]]
            assert (tag.get("toName"), result["to_name"], tag.tag.lower()) == ("image", "image", result["type"])
            assert {child.get("value") for child in tag} >= set(result["value"][result["type"]])
        if labels:
            assert [result["value"] for result in results] == [{"choices": labels}]
            assert prediction["score"] == min(float(row[label]) for label in labels)
            choice = "single" if "none of them" in row else "multiple"
            assert tags["labels"].get("choice") == choice
        else:
            assert "score" not in prediction
            read = {}
            for result in results:
                value, width, height = result["value"], result["original_width"], result["original_height"]
                assert ((width, height), result["image_rotation"]) == (SIZES[name], 0)
                [point] = value["keypointlabels"]
                read[point] = (value["x"] / 100 * width, value["y"] / 100 * height)
            assert read == {name: pytest.approx(place, rel=1e-14) for name, place in points.items()}
    assert set(ids.values()) <= {1}


def test_cvat_has_what_the_csv_says(predicted, rows):
    root = ElementTree.parse(predicted / "p.xml").getroot()
    assert (root.tag, root.findtext("version"), root.findtext("meta/task/size")) == ("annotations", "1.1", "4")
    known = {label.findtext("name"): label for label in root.findall("meta/task/labels/label")}
    images = {image.get("name"): image for image in root.findall("image")}
    assert {name: (int(i.get("width")), int(i.get("height"))) for name, i in images.items()} == SIZES
    assert {name: int(i.get("id")) for name, i in images.items()} == {n: row["position"] for n, row in rows.items()}
    pasted = json.loads((predicted / "p.labels.json").read_text(encoding="utf-8"))
    assert [label["name"] for label in pasted] == [n for n, label in known.items() if label.find("parent") is None]
    for name, row in rows.items():
        tags = images[name].findall("tag")
        assert [(tag.get("label"), tag.get("source")) for tag in tags] == [(label, "auto") for label in labels_of(row)]
        assert {known[tag.get("label")].findtext("type") for tag in tags} <= {"tag"}
        points = {}
        for skeleton in images[name].findall("skeleton"):
            assert known[skeleton.get("label")].findtext("type") == "skeleton"
            for point in skeleton.findall("points"):
                assert (point.get("outside"), point.get("occluded")) == ("0", "0")  # CVAT's importer asks for both
                assert known[point.get("label")].findtext("parent") == skeleton.get("label")
                points[point.get("label")] = tuple(map(float, point.get("points").split(",")))
        assert points == points_of(row)
    for label in pasted:
        drawn = ElementTree.fromstring(f"<svg>{label.get('svg', '')}</svg>")
        below = [sublabel["name"] for sublabel in label.get("sublabels", [])]
        assert [circle.get("data-label-name") for circle in drawn] == below


def test_numbers_have_a_place_in_two_of_the_formats(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_image(tmp_path / "in/a.jpg")
    model = ValueRegressor(["age", "image"], "test_resnet", image_size=(32, 32), pretrained=False)
    torch.save({"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams)}, "v.ckpt")
    assert console(["predict", "v.ckpt", "in", "--format", "coco", *QUIET]) == 2
    said = capsys.readouterr().err
    assert "--format coco has no place for numbers" in said
    assert "--format label-studio or cvat" in said
    assert not list(tmp_path.glob("p*"))
    for format in (None, "label-studio", "cvat"):
        assert console(["predict", "v.ckpt", "in", *(["--format", format] if format else []), *QUIET]) == 0
    with Path("predictions.csv").open(newline="") as file:
        [row] = csv.DictReader(file)
    wanted = {name: float(row[name]) for name in ("age", "image")}
    [task] = json.loads(Path("predictions.json").read_text())
    results = task["predictions"][0]["result"]
    assert {result["from_name"]: result["value"]["number"] for result in results} == {
        "age": wanted["age"],
        "image_": wanted["image"],
    }
    assert {result["type"] for result in results} == {"number"}
    numbers = ElementTree.parse("predictions.label_config.xml").findall("Number")
    # With a `step` Label Studio refuses what lies between its multiples.
    assert [number.attrib for number in numbers] == [{"name": n, "toName": "image"} for n in ("age", "image_")]
    [tag] = ElementTree.parse("predictions.xml").findall("image/tag")
    assert {attribute.get("name"): float(attribute.text) for attribute in tag} == wanted
    [label] = json.loads(Path("predictions.labels.json").read_text())
    assert (label["name"], label["type"]) == (tag.get("label"), "tag")
    assert [(a["name"], a["input_type"], a["values"]) for a in label["attributes"]] == [
        ("age", "text", [""]),
        ("image", "text", [""]),
    ]


@pytest.fixture
def images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for i, name in enumerate(("a/x.jpg", "b/x.jpg", "b/y&z.png")):
        write_image(tmp_path / name, (24 + i, 32), seed=i)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "coco", "--output", "p.xml"], "p.xml: --format coco is written as .json. End --output in it."),
        (["--format", "cvat", "--output", "p.json"], "written as .xml"),
        (["--format", "cvat", "--output", "-"], "not to standard output"),
        (["--format", "coco", "--excel", "true"], "--excel is for csv"),
        (["--prefix", "x/"], "--prefix is for"),
        (["--format", "coco", "--output", "held.json"], "held.json is read here"),
        (["--format", "cvat", "--output", "p.xml"], "p.labels.json cannot be written (it is a folder)"),
        (["--format", "voc"], "coco"),
    ],
)
def test_mistakes_are_told_before_the_work(images, capsys, options, message):
    Path("p.labels.json").mkdir()
    write_image(Path("held.png"))
    Path("held.png").rename("held.json")
    try:
        code = console(["predict", "none.ckpt", "a", "held.json", *options, *QUIET])
    except SystemExit as left:  # the parser's own
        code = left.code
    assert code == 2
    assert message in capsys.readouterr().err
    assert sorted(p.name for p in Path().iterdir()) == ["a", "b", "held.json", "p.labels.json"]


def test_file_names_are_those_that_a_tool_knows(images, monkeypatch):
    def names(*sources):
        return names_in_file(find_images(sources, None))

    assert names("a") == ["x.jpg"]
    assert names("b", "a/*.jpg") == ["b/x.jpg", "b/y&z.png", "a/x.jpg"]  # two would be one
    whole = str(Path("a/x.jpg").absolute())
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(f"{whole}\nb/y&z.png\n".encode())))
    assert names("-") == [whole, "b/y&z.png"]
    os.chdir("a")
    write_image(Path("b/x.jpg"))
    assert names("b/x.jpg", "../b/x.jpg") == ["b/x.jpg", "../b/x.jpg"]


def written(format, names, annotation, name="a.jpg", prefix=""):
    """What one image's annotation is as text, and the text around it."""
    writer = WRITERS[format](names, "best.ckpt", prefix)
    return writer, writer.entries(ImageEntry(0, name, 10, 20), annotation)


def test_a_prefix_makes_an_address_and_what_is_no_text_stays_distinct():
    name, prefix = os.fsdecode(b"b/\xe4 &.jpg"), "/data/local-files/?d=set/"
    _, [[task]] = written("label-studio", AnnotationNames(), Annotation(), name, prefix)
    assert json.loads(task)["data"]["image"] == "/data/local-files/?d=set/b/%E4%20%26.jpg"
    _, [[task]] = written("label-studio", AnnotationNames(), Annotation(), name)
    assert json.loads(task)["data"]["image"] == "b/\\udce4 &.jpg"
    _, [[image], _] = written("coco", AnnotationNames(), Annotation(), name, "set/")
    assert json.loads(image)["file_name"] == "set/b/\\udce4 &.jpg"
    _, [[image]] = written("cvat", AnnotationNames(), Annotation(), name, "set/")
    assert ElementTree.fromstring(image).get("name") == "set/b/\\udce4 &.jpg"


HARD = "a <b>&\"c\"\n'd'"


def test_any_name_comes_back_from_xml():
    names = AnnotationNames((HARD,), (HARD,), (HARD,))
    annotation = Annotation((ScoredLabel(HARD, 0.5),), (NamedPoint(HARD, -1.5, 1e-7),), (NamedNumber(HARD, -2.0),))
    writer, [[image]] = written("cvat", names, annotation)
    head, tail = writer.frame(1)
    root = ElementTree.fromstring(head + image + tail)
    tag, skeleton, numbers = root.find("image")
    assert (tag.get("label"), skeleton[0].get("label"), numbers[0].get("name")) == (HARD, HARD, HARD)
    assert (skeleton[0].get("points"), numbers[0].text) == ("-1.5,1e-07", "-2.0")
    assert [label.findtext("name") for label in root.iter("label")] == [HARD, "object", HARD, "numbers"]
    writer, _ = written("label-studio", names, annotation)
    config = ElementTree.fromstring(writer.setup().text)
    assert [e.get("value") for e in config.iter() if e.tag in ("Choice", "Label", "Header")] == [HARD] * 3


def test_what_xml_cannot_hold_is_refused():
    for format in ("cvat", "label-studio"):
        with pytest.raises(ConfigError, match=r"'a\\x01' has the character '\\x01'"):
            written(format, AnnotationNames(labels=("a\x01",)), Annotation())
    writer, _ = written("cvat", AnnotationNames(labels=("a",)), Annotation())
    with pytest.raises(ConfigError, match="cannot hold"):
        writer.require_file_names(["a.jpg", "\x1b.jpg"])
    writer.require_file_names([os.fsdecode(b"\xe4.jpg"), "猫.jpg"])


def test_a_point_may_say_how_sure_it_is():
    _, [[task]] = written(
        "label-studio", AnnotationNames(points=("p",)), Annotation(points=(NamedPoint("p", 1, 2, 0.9),))
    )
    [result] = json.loads(task)["predictions"][0]["result"]
    assert (result["score"], result["value"]["x"], result["value"]["y"]) == (0.9, 10, 10)


def point_rows(begin, count, points=2):
    places = np.arange(2 * points, dtype=np.float32).reshape(-1, 2)
    said = PointPrediction(tuple(map(str, range(points))), places)
    return [Row(Path(f"{i}"), Path(f"{i}"), said, None, (40, 60)) for i in range(begin, begin + count)]


def new_file(path, format="coco", count=1000, points=2):
    names = AnnotationNames(points=tuple(map(str, range(points))))
    return AnnotationFile(path, WRITERS[format](names, "best.ckpt", ""), [f"{i}.jpg" for i in range(count)])


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_a_batch_that_is_cut_leaves_the_batches_before(tmp_path, monkeypatch, stop):
    really = AnnotationFile._append

    def cut(file, number, entries):
        if number == 1 and file.num_rows == 3:
            raise stop
        return really(file, number, entries)

    monkeypatch.setattr(AnnotationFile, "_append", cut)
    with contextlib.closing(new_file(tmp_path / "p.json")) as file:
        file.add(point_rows(0, 3))
        with pytest.raises((KeyboardInterrupt, ConfigError)):
            file.add(point_rows(3, 2))
        assert not list(tmp_path.iterdir())
        file.write()
    content = json.loads((tmp_path / "p.json").read_text())
    assert [image["file_name"] for image in content["images"]] == ["0.jpg", "1.jpg", "2.jpg"]
    assert [found["image_id"] for found in content["annotations"]] == [1, 2, 3]


def test_what_was_predicted_before_ctrl_c_is_kept(images, monkeypatch, capsys):
    really, calls = verb._rows, []

    def stopped(*given):
        calls.append(given)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return really(*given)

    monkeypatch.setattr(verb, "_rows", stopped)
    arguments = ["predict", best("labels"), "b", "a", "--format", "cvat", "--batch_size", "1", *QUIET]
    assert console(arguments) == 130
    names = [image.get("name") for image in ElementTree.parse("predictions.xml").findall("image")]
    assert names == ["b/x.jpg", "b/y&z.png"]
    assert "2 of 3 images were predicted; predictions.xml holds these" in capsys.readouterr().out
    before = Path("predictions.xml").read_bytes()
    calls[:] = [(), ()]
    assert console(arguments) == 130
    assert "nothing is written" in capsys.readouterr().out
    assert Path("predictions.xml").read_bytes() == before
    assert not list(Path().glob(".new*"))


@pytest.mark.parametrize("format", FILES)
def test_a_file_of_no_image_is_whole(tmp_path, format):
    path = tmp_path / FILES[format]
    with contextlib.closing(new_file(path, format)) as file:
        file.add([Row(Path("a"), Path("a"), None, "a: broken")])
        file.write()
        assert (file.num_rows, file.errors) == (1, ["a: broken"])
    if format == "cvat":
        assert ElementTree.parse(path).findtext("meta/task/size") == "0"
    else:
        read = json.loads(path.read_text())
        assert read == [] if format == "label-studio" else (read["images"], read["annotations"]) == ([], [])


def test_memory_is_that_of_a_batch(tmp_path):
    with contextlib.closing(new_file(tmp_path / "p.json", points=68)) as file:
        tracemalloc.start()
        for begin in range(0, 1000, 50):
            file.add(point_rows(begin, 50, 68))
        file.write()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert (tmp_path / "p.json").stat().st_size > 1e6
    assert peak < 0.6e6


def test_each_format_that_the_command_line_offers_has_a_writer():
    assert set(WRITERS) == set(get_args(Format)) == set(FILES)


def test_where_the_likeliest_is_chosen_there_is_one_label():
    assert LabelFormat(("a", "b"), None).annotation_names() == AnnotationNames(labels=("a", "b"), one_label=True)
    assert not LabelFormat(("a", "b"), np.float32([0.5, 0.5])).annotation_names().one_label
