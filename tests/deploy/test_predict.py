"""The verb `predict`."""

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lightning_tasks import load
from lightning_tasks.__main__ import console
from lightning_tasks.data.images.decode import read_image
from lightning_tasks.deploy.sources import find_images
from tests.fakes import write_image

QUIET = ["--device", "cpu", "--progress", "false"]


@pytest.fixture
def images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for i, name in enumerate(("a.jpg", "deep/b.PNG", "deep/er/c.webp")):
        write_image(tmp_path / "in" / name, (24 + i, 32), seed=i)
    (tmp_path / "in" / "notes.txt").write_text("no image")
    return tmp_path / "in"


def checkpoint(run):
    return str(run[0] / run[1])


def rows(path="predictions.csv"):
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_row_for_each_image_of_a_folder(labels_run, images, capsys):
    assert console(["predict", checkpoint(labels_run), "in", *QUIET]) == 0
    found = rows()
    assert [row["fname"] for row in found] == ["in/a.jpg", "in/deep/b.PNG", "in/deep/er/c.webp"]
    predictor = load(checkpoint(labels_run), "cpu")
    for row in found:
        prediction = predictor(row["fname"])
        assert [float(row["cat"]), float(row["dog"])] == pytest.approx(prediction.probabilities, abs=2e-6)
        assert row["predicted"] == " ".join(prediction.labels)
        assert row["error"] == ""
    assert "predictions.csv  (3 images)" in capsys.readouterr().out


def test_points_are_in_the_pixels_on_disk(points_run, images):
    assert console(["predict", checkpoint(points_run), "in", "--batch_size", "2", *QUIET]) == 0
    predictor = load(checkpoint(points_run), "cpu")
    for row in rows():
        got = [float(row[column]) for column in ("l_x", "l_y", "r_x", "r_y")]
        assert got == pytest.approx(predictor(row["fname"]).points_px.ravel(), abs=1e-3)


def test_files_patterns_and_tables_each_image_once(images):
    Path("in/list.csv").write_text("fname,other\ndeep/b.PNG,1\nmissing.jpg,2\n")
    named = ["in/a.jpg", "in/**/*.webp", "in/list.csv", "in/deep", str(Path("in") / "a.jpg")]
    found = [str(one.path) for one in find_images(named, None)]
    assert found == ["in/a.jpg", "in/deep/er/c.webp", "in/deep/b.PNG", "in/missing.jpg"]
    elsewhere = find_images(["in/list.csv"], "other")
    assert [str(one.path) for one in elsewhere] == ["other/deep/b.PNG", "other/missing.jpg"]


def test_broken_images_become_rows_and_the_rest_goes_on(labels_run, images, capsys):
    (images / "cut.jpg").write_bytes((images / "a.jpg").read_bytes()[:200])
    (images / "empty.png").write_bytes(b"")
    (images / "text.jpg").write_text("no image")
    assert console(["predict", checkpoint(labels_run), "in", "in/none.jpg", *QUIET]) == 2  # nothing is done by halves
    assert not Path("predictions.csv").exists()
    capsys.readouterr()
    arguments = ["predict", checkpoint(labels_run), "in", "--annotate", "drawn", "--batch_size", "2", *QUIET]
    assert console(arguments) == 1
    found = {row["fname"]: row for row in rows()}
    assert len(found) == 6
    for name, why in (("cut", "not an image"), ("empty", "is empty"), ("text", "not an image")):
        row = next(row for fname, row in found.items() if name in fname)
        assert why in row["error"]
        assert row["cat"] == row["predicted"] == ""
    assert sum(row["error"] == "" for row in found.values()) == 3
    assert capsys.readouterr().out.count("not predicted") == 3
    assert sorted(str(path) for path in Path("drawn").rglob("*.png")) == [
        "drawn/a.jpg.png",
        "drawn/deep/b.PNG.png",
        "drawn/deep/er/c.webp.png",
    ]


def test_only_broken_images(labels_run, images):
    (images / "empty.png").write_bytes(b"")
    assert console(["predict", checkpoint(labels_run), "in/empty.png", *QUIET]) == 1
    assert [row["fname"] for row in rows()] == ["in/empty.png"]


def test_json_and_parquet_say_the_same(labels_run, points_run, images):
    pytest.importorskip("pyarrow")
    (images / "empty.png").write_bytes(b"")
    for run in (labels_run, points_run):
        for output in ("p.csv", "p.json", "p.parquet"):
            assert console(["predict", checkpoint(run), "in", "--output", output, *QUIET]) == 1
        table, entries = pd.read_parquet("p.parquet"), json.loads(Path("p.json").read_text())
        from_csv = pd.read_csv("p.csv", keep_default_na=False, na_values={c: [""] for c in table.columns[2:]})
        assert list(table.columns) == list(from_csv.columns)
        assert table["fname"].tolist() == from_csv["fname"].tolist() == [entry["fname"] for entry in entries]
        for row, entry in zip(table.itertuples(), entries, strict=True):
            assert (row.error or None) == entry["error"]
            if entry["error"] is not None:
                assert set(entry) == {"fname", "error"}
            elif "points_px" in entry:
                assert entry["points_px"]["r"] == pytest.approx([row.r_x, row.r_y], abs=1e-4)
            else:
                assert entry["probabilities"]["dog"] == pytest.approx(row.dog, abs=1e-5)
                assert " ".join(entry["predicted"]) == row.predicted


def test_annotated_copies_show_labels_and_points(labels_run, points_run, images):
    Image.new("RGB", (400, 300), (255, 0, 255)).save(images / "plain.png")
    for run in (labels_run, points_run):
        assert console(["predict", checkpoint(run), "in/plain.png", "--annotate", "drawn", *QUIET]) == 0
        drawn = np.abs(read_image(Path("drawn/plain.png.png")).astype(int) - [255, 0, 255]).sum(2) > 60
        assert drawn.shape == (300, 400)
        assert 20 < drawn.sum() < 40_000
        if run is points_run:
            row = rows()[0]
            for name in "lr":
                x, y = (
                    min(max(round(float(row[f"{name}_{axis}"])), 0), limit) for axis, limit in (("x", 399), ("y", 299))
                )
                assert drawn[y, x]


def test_a_name_that_climbs_out_is_refused_or_drawn_inside(labels_run, images, capsys):
    Path("in/deep/list.csv").write_text("fname\n../a.jpg\n")
    arguments = ["predict", checkpoint(labels_run), "in/deep/list.csv", "--annotate", "drawn", *QUIET]
    assert console(arguments) == 2
    assert "row 2, column 'fname': '../a.jpg' leads out of in/deep" in capsys.readouterr().err
    assert console([*arguments, "--allow_outside", "true"]) == 0
    assert [str(path) for path in Path.cwd().rglob("*.jpg.png")] == [str(Path.cwd() / "drawn" / "a.jpg.png")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["in", "--output", "p.xlsx"], "predictions are written as"),
        (["nothing*"], "no file, folder or pattern nothing*"),
        (["empty"], "no images in empty"),
        (["in", "--batch_size", "0"], "at least 1"),
        (["in", "--annotate", "in/a.jpg"], "in/a.jpg cannot be made"),
        (["in", "--output", "in/a.jpg/p.csv"], "cannot be written"),
        (["bad.csv"], "no column 'fname'"),
        (["in", "--flip", "maybe"], "flip"),
    ],
)
def test_mistakes_are_one_message_and_exit_2(labels_run, images, capsys, arguments, message):
    Path("empty").mkdir()
    Path("bad.csv").write_text("name\na.jpg\n")
    try:
        code = console(["predict", checkpoint(labels_run), *arguments, *QUIET])
    except SystemExit as left:  # the parser's own
        code = left.code
    said = capsys.readouterr().err
    assert code == 2
    assert message in said
    assert "Traceback" not in said
    assert not list(Path.cwd().glob("p.*"))


def test_parquet_without_pyarrow(labels_run, images, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    assert console(["predict", checkpoint(labels_run), "in", "--output", "p.parquet", *QUIET]) == 2
    assert "lightning-tasks[parquet]" in capsys.readouterr().err
