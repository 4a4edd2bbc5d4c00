"""The verb `label_errors` on tiny runs of the command line."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

from lightning_tasks.__main__ import console
from lightning_tasks.folds import Fold, read_fold, save_fold, table_digest
from lightning_tasks.tasks.keypoints.predictions import PointPredictions
from tests.fakes import write_image

QUIET = ["--trainer.accelerator", "cpu", "--data.num_workers", "0"]
FAR = "12.jpg"


@pytest.fixture
def points(points_run, tmp_path, monkeypatch):
    """The arguments of a checkpoint on a table of which one validation image has a point far away, and one has none."""
    monkeypatch.chdir(tmp_path)
    lines = ["fname,is_valid,l_x,l_y,r_x,r_y", *(f"{i}.jpg,{i >= 3},{5 + i % 3},6,{9 + i % 4},7" for i in range(16))]
    lines[13], lines[14] = f"{FAR},True,6,6,31,23", "13.jpg,True,,,,"
    for i in range(16):
        write_image(Path(f"root/{i}.jpg"), seed=0)
    Path("root/points.csv").write_text("\n".join(lines) + "\n")
    return ["label_errors", str(points_run[0] / points_run[1]), "--data.root", "root", *QUIET]


def rows(path):
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_point_that_is_far_away_is_listed_shown_and_handed_to_a_tool(points, capsys):
    assert console([*points, "--output", "deep/doubts.csv", "--format", "cvat"]) == 0
    first = rows("deep/doubts.csv")[0]
    assert {name: first[name] for name in ("rank", "fname", "row", "what", "kind", "given")} == {
        "rank": "1", "fname": FAR, "row": "14", "what": "r", "kind": "moved", "given": "31.00 23.00",
    }  # fmt: skip
    said = capsys.readouterr().out
    assert "listed           deep/doubts.csv" in said
    page = Path("deep/doubts.html").read_text(encoding="utf-8")
    assert FAR in page
    assert first["reason"] in page
    assert page.count("data:image/jpeg;base64,") == len({row["fname"] for row in rows("deep/doubts.csv")})
    places = {
        (image.get("name"), point.get("label")): point.get("points")
        for image in ElementTree.parse("deep/doubts.xml").iter("image")
        for point in image.iter("points")
    }
    suggested = [float(number) for number in places[FAR, "r"].split(",")]
    assert suggested == pytest.approx([float(number) for number in first["predicted"].split()], abs=0.006)
    assert [float(number) for number in places[FAR, "l"].split(",")] == pytest.approx([6, 6], abs=1e-3)
    assert {name for name, _ in places} == {row["fname"] for row in rows("deep/doubts.csv")}


@pytest.fixture
def crossval(points, points_run):
    """A finished cross-validation of two folds: of each image what is annotated, but for one point that is far away."""
    run = (points_run[0] / points_run[1]).parents[1]
    for fold, of_fold in enumerate((range(0, 16, 2), range(1, 16, 2))):
        shutil.copytree(run, Path("cv", f"fold_{fold}"))
        targets_px = torch.tensor([[[5.0 + i % 3, 6], [9 + i % 4, 7]] for i in of_fold])
        points_px = targets_px + torch.randn(8, 2, 2, generator=torch.Generator().manual_seed(fold))
        targets_px[of_fold.index(5) if fold else slice(0, 0), 0] += 40
        found = PointPredictions(
            rows=torch.tensor(of_fold), paths=tuple(Path(f"elsewhere/{i}.jpg") for i in of_fold), groups=(),
            point_names=["l", "r"], points_norm=points_px, targets_norm=points_px,
            visible=torch.ones(8, 2, dtype=torch.bool), original_size_px=torch.full((8, 2), 32.0),
            points_px=points_px, targets_px=targets_px,
        )  # fmt: skip
        save_fold(Path("cv"), Fold(fold, 2, found))
    return ["label_errors", "cv", *points[2:]]


def test_of_a_cross_validation_all_images_are_looked_at(crossval, capsys):
    assert console([*crossval, "--format", "label-studio"]) == 0
    assert "of 16 images" in capsys.readouterr().out
    first = rows("label_errors.csv")[0]
    assert (first["fname"], first["row"], first["what"]) == ("5.jpg", "7", "l")
    assert "cannot be shown" not in Path("label_errors.html").read_text()  # the files are where the data is now
    assert json.loads(Path("label_errors.json").read_text())[0]["data"]["image"] == "5.jpg"


def test_a_cross_validation_of_another_table_or_split_is_refused(crossval, capsys):
    assert console([*crossval, "--split", "test"]) == 2
    assert "Leave --split out" in capsys.readouterr().err
    table = Path("root/points.csv")
    lines = table.read_text().splitlines()
    table.write_text("\n".join([lines[0], *lines[2:], lines[1]]))
    assert console(crossval) == 2
    assert "is not the table that cv was made of" in capsys.readouterr().err
    shutil.rmtree("cv/fold_1")
    assert console(crossval) == 2
    assert "is not finished" in capsys.readouterr().err


def with_fold(number, **changes):
    """Write a fold of the cross-validation anew."""
    fold = read_fold(Path("cv"), number)
    save_fold(Path("cv"), fold._replace(**changes))


def test_the_end_of_a_name_is_not_the_name(crossval, capsys):
    odd = read_fold(Path("cv"), 1).found
    moved = tuple(Path("elsewhere/15.jpg") if path.name == "5.jpg" else path for path in odd.paths)
    with_fold(1, found=replace(odd, paths=moved))  # in the row where the table has 5.jpg
    assert console(crossval) == 2
    assert "15.jpg was in row 7" in capsys.readouterr().err


@pytest.mark.filterwarnings("always::lightning_tasks.errors.LightningTasksWarning")
def test_a_table_that_has_changed_since_is_told(crossval, capsys):
    for digest, told in ((table_digest(Path("root/points.csv")), False), ("of before", True)):
        with_fold(0, table=digest)
        assert console(crossval) == 0
        assert ("points.csv has changed since cv was made" in capsys.readouterr().err) == told


def test_only_as_many_as_are_asked_for_are_listed(points):
    assert console([*points, "--top", "1", "--excel", "true"]) == 0
    assert Path("label_errors.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    text = Path("label_errors.csv").read_text(encoding="utf-8-sig")
    assert len(list(csv.DictReader(text.splitlines()))) == 1


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--split", "train"], "was trained on these images"),
        (["--data.train_on_valid", "true"], "was trained on the validation images too"),
        (["--split", "test"], "no test table"),
        (["--output", "a.txt"], "End --output in .csv"),
        (["--output", "root/points.csv"], "would be written over"),
        (["--top", "0"], "--top is 0"),
        (["--prefix", "x"], "--prefix is for file names"),
    ],
)
def test_what_cannot_be_told_is_said(points, more, said, capsys):
    assert console([*points, *more]) == 2
    assert said in capsys.readouterr().err
    assert not Path("label_errors.csv").exists()


def test_a_split_that_was_drawn_otherwise_is_refused_on_the_same_table(labels_run, monkeypatch, capsys):
    monkeypatch.chdir(labels_run[0])
    assert console(["label_errors", labels_run[1], *QUIET, "--data.fold", "1"]) == 2
    assert "rows for validation (data.fold was None and is 1). It repeats" in capsys.readouterr().err
    assert not Path("label_errors.csv").exists()


def test_where_nothing_is_suspicious_the_page_says_so(labels_run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder, ckpt = labels_run
    arguments = ["label_errors", str(folder / ckpt), "--data.root", str(folder / "root"), *QUIET]
    assert console([*arguments, "--format", "coco"]) == 0
    assert "suspicious       0 annotations" in capsys.readouterr().out
    assert rows("label_errors.csv") == []
    assert "Nothing is suspicious" in Path("label_errors.html").read_text()
    assert json.loads(Path("label_errors.json").read_text())["images"] == []
