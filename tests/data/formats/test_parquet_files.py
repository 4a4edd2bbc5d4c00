"""Parquet as Hugging Face's own library writes it."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, Image, List, Value, disable_progress_bars
from PIL import Image as Pillow

from lightning_tasks.__main__ import console
from lightning_tasks.data.tables.formats.annotations import Box
from lightning_tasks.data.tables.formats.reader import ReadOptions
from lightning_tasks.data.tables.formats.readers import read_annotations
from lightning_tasks.errors import ConfigError, MissingLibraryError, TableError
from lightning_tasks.verbs.convert import convert
from tests.fakes import write_image

disable_progress_bars()


def encode(seed, kind="PNG"):
    pixels = np.random.default_rng(seed).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    file = io.BytesIO()
    Pillow.fromarray(pixels).save(file, kind)
    return file.getvalue()


IMAGES = [{"bytes": encode(i, kind), "path": None} for i, kind in enumerate(("PNG", "JPEG", "WEBP"))]


def write(path, columns, **features):
    path.parent.mkdir(parents=True, exist_ok=True)
    declared = Features({"image": Image(), **features})
    Dataset.from_dict({"image": IMAGES, **columns}, features=declared).to_parquet(path)
    return path


def write_example(folder):
    """Write a data set of three images with their classes; return its file."""
    return write(
        folder / "train-00000-of-00001.parquet", {"label": [0, 1, 1]}, label=ClassLabel(names=["cat", "red dog"])
    )


def read(path, folder, **options):
    return read_annotations(path, ReadOptions(workspace=folder / "images", **options))


def labels(found):
    return [tuple(image.labels) for image in found.images]


def test_bytes_become_files_and_numbers_names(tmp_path):
    path = write_example(tmp_path)
    for _ in range(2):  # what was written is used again
        found = read(path, tmp_path)
        assert labels(found) == [("cat",), ("red dog",), ("red dog",)]
        assert [image.name.rpartition(".")[2] for image in found.images] == ["png", "jpg", "webp"]
        assert [(tmp_path / "images" / i.name).read_bytes() for i in found.images] == [i["bytes"] for i in IMAGES]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["images", path.name]
    (tmp_path / "images" / found.images[0].name).write_bytes(b"mine")
    with pytest.raises(TableError, match=r"images is there already, and does not hold the image of .*row 1"):
        read(path, tmp_path)


def test_several_labels_and_what_is_not_known(tmp_path):
    tags = List(ClassLabel(names=["a;b", "c d", "['e']"]))
    path = write(tmp_path / "x.parquet", {"tags": [[0, 1], [], [2]], "n": [1, 2, 3]}, tags=tags, n=Value("int32"))
    found = read(path, tmp_path)
    assert labels(found) == [("a;b", "c d"), (), ("['e']",)]
    assert found.left_out == {"columns (n)": 1}
    secret = write(tmp_path / "y.parquet", {"label": [-1, 0, None]}, label=ClassLabel(names=["x"]))
    found = read_annotations(secret, ReadOptions(workspace=tmp_path / "other"))
    assert (labels(found), found.left_out) == ([("x",)], {"images whose label is not given": 2})


def test_files_of_splits(tmp_path):
    for split in ("train", "validation", "test"):
        write(
            tmp_path / "data" / f"{split}-00000-of-00001.parquet",
            {"label": [0, 1, 1]},
            label=ClassLabel(names=["x", "y"]),
        )
    found = read(tmp_path, tmp_path)
    assert [image.split for image in found.images] == ["test"] * 3 + ["train"] * 3 + ["val"] * 3
    assert len({image.name for image in found.images}) == 9
    assert all((tmp_path / "images" / image.name).is_file() for image in found.images)


def test_words_numbers_and_points(tmp_path):
    word = write(tmp_path / "a.parquet", {"species": ["cat", "red ox", "cat"]}, species=Value("string"))
    assert labels(read(word, tmp_path, label_separator="none")) == [("cat",), ("red ox",), ("cat",)]
    age = write(tmp_path / "b.parquet", {"age": [0.5, None, 3.0]}, age=Value("float64"))
    found = read_annotations(age, ReadOptions(workspace=tmp_path / "b"))
    assert ([image.values for image in found.images], found.value_names) == ([{"age": 0.5}, {}, {"age": 3.0}], ("age",))
    xy = {"nose_x": [1.5, 2.0, 3.0], "nose_y": [4.0, 5.0, 6.0]}
    points = write(tmp_path / "c.parquet", xy, nose_x=Value("float32"), nose_y=Value("float32"))
    found = read_annotations(points, ReadOptions(workspace=tmp_path / "c"))
    assert [image.objects[0].points for image in found.images] == [[1.5, 4, 2], [2, 5, 2], [3, 6, 2]]


@pytest.mark.parametrize("is_list", [False, True])
def test_objects_keep_their_boxes(tmp_path, is_list):
    box, category = List(Value("float32"), length=4), ClassLabel(names=["cat", "dog"])
    inner = {"bbox": box, "category": category}
    feature = List(inner) if is_list else {"bbox": List(box), "category": List(category)}
    pairs = [[([1, 2, 3, 4], 0), ([5, 6, 1, 1], 1)], [], [([0, 0, 2, 2], 1)]]
    objects = [
        [{"bbox": b, "category": c} for b, c in row]
        if is_list
        else {"bbox": [b for b, _ in row], "category": [c for _, c in row]}
        for row in pairs
    ]
    found = read(write(tmp_path / "x.parquet", {"objects": objects}, objects=feature), tmp_path)
    assert [[thing[:2] for thing in image.objects if thing.box] for image in found.images] == [
        [("cat", Box(1, 2, 4, 6)), ("dog", Box(5, 6, 6, 7))],
        [],
        [("dog", Box(0, 0, 2, 2))],
    ]


def test_paths_in_place_of_bytes(tmp_path):
    write_image(tmp_path / "photos" / "a.jpg")
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"file_name": ["a.jpg"], "label": ["cat"]}), path)
    found = read(path, tmp_path)
    assert (found.folder, found.images[0].name, labels(found)) == (tmp_path / "photos", "a.jpg", [("cat",)])
    pq.write_table(pa.table({"image": [{"bytes": None, "path": "a.jpg"}], "label": ["cat"]}), path)
    assert read(path, tmp_path).images[0].name == "a.jpg"
    assert not (tmp_path / "images").exists()


def test_what_is_wrong_is_told_and_nothing_is_left(tmp_path, monkeypatch):
    path = tmp_path / "x.parquet"
    two = write(
        path, {"fine": [0, 0, 0], "coarse": [0, 0, 0]}, fine=ClassLabel(names=["x"]), coarse=ClassLabel(names=["y"])
    )
    with pytest.raises(TableError, match=r"several columns may be the labels: .*--columns 'labels=fine'"):
        read(two, tmp_path)
    assert labels(read_annotations(two, ReadOptions(columns={"labels": "coarse"}, workspace=tmp_path / "w")))[0] == (
        "y",
    )
    pq.write_table(pa.table({"image": [{"bytes": b"oh", "path": None}], "label": ["x"]}), path)
    with pytest.raises(TableError, match=r"x.parquet: row 1, column 'image': these bytes are no image"):
        read(path, tmp_path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(TableError, match=r"x.parquet: cannot be read as parquet"):
        read(path, tmp_path)
    assert not (tmp_path / "images").exists()
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(MissingLibraryError, match=r"pip install 'lightning-tasks\[parquet\]'"):
        read(path, tmp_path)


def test_a_class_that_is_not_declared(tmp_path):
    path = write_example(tmp_path)
    table = pq.read_table(path)
    odd = table.set_column(1, "label", pa.array([0, 7, 1])).replace_schema_metadata(table.schema.metadata)
    pq.write_table(odd, path)
    with pytest.raises(TableError, match=r"row 2, column 'label': there is no class 7; it has 2"):
        read(path, tmp_path)


def test_from_parquet_to_a_config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_example(tmp_path / "data")
    assert console(["init", "data", "--output", "c.yaml"]) == 0
    assert (tmp_path / "labels.csv").read_text().splitlines() == [
        "fname,labels",
        "train-00000-of-00001-000000.png,cat",
        "train-00000-of-00001-000001.jpg,red dog",
        "train-00000-of-00001-000002.webp,red dog",
    ]
    assert console(["check", "--config", "c.yaml", "--min_positives", "1"]) == 0


def test_columns_are_named_as_the_message_says(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = pa.table({"id": ["a.jpg", "b.jpg"], "kind": ["pug", "corgi"], "colour": ["red", "black"]})
    pq.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(TableError, match=r"several columns may be the labels: .* --columns 'labels=kind'"):
        convert("t.parquet")
    convert("t.parquet", columns="labels=colour")
    assert Path("labels.csv").read_text() == "fname,labels\na.jpg,red\nb.jpg,black\n"
    for named in ("labels=no", "fname=no"):
        with pytest.raises(ConfigError, match=r"--columns names 'no', which is no column of it"):
            convert("t.parquet", "x.csv", columns=named)
