import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw

from lightning_tasks import BiwiDataModule, KeypointDataModule, MultiLabelDataModule
from lightning_tasks.__main__ import console
from lightning_tasks.errors import TableError
from lightning_tasks.verbs.check import check
from tests.fakes import draw_biwi, write_multilabel, write_points

CONF = Path(__file__).parents[2] / "conf"


def smooth(seed, size=(64, 48)):
    """An image with large shapes, as a photograph has: its hash survives a new encoding."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def labels(root, rows, n=12):
    root.mkdir(exist_ok=True)
    write_multilabel(root, ["fname,labels,group,is_valid", *rows], 0)
    for i in range(n):
        smooth(i).save(root / f"{i}.jpg")


GOOD = [f"{i}.jpg,{'cat' if i % 2 else 'dog'},g{i},{i >= 8}" for i in range(12)]


def found(problems):
    return [(problem.kind, problem.row) for problem in problems]


def test_nothing_is_wrong_with_good_data(tmp_path):
    labels(tmp_path, GOOD)
    assert check(MultiLabelDataModule(str(tmp_path)), min_positives=4) == []


@pytest.mark.parametrize(
    ("row", "cells", "kind", "part"),
    [
        (3, "3.jpg,cat cat,g3,False", "cell", "row 5, column 'labels': the label 'cat' stands twice"),
        (3, "", "cell", "row 5: 0 cells under 4 columns"),
        (3, "3.jpg,cat,g3,maybe", "cell", "row 5, column 'is_valid': 'maybe' is neither True nor False"),
        (3, "2.jpg,cat,g3,False", "duplicate", "row 5: 2.jpg stands in row 4 already"),
        (3, "none.jpg,cat,g3,False", "image", "row 5: there is no image"),
        (9, "9.jpg,cow,g9,True", "label", "row 11, column 'labels': the label 'cow' is not among the 2 labels"),
        (9, "9.jpg,cat,g1,True", "group", "group 'g1' is on both sides"),
    ],
)
def test_each_kind_is_found_with_its_row(row, cells, kind, part, tmp_path):
    labels(tmp_path, [*GOOD[:row], cells, *GOOD[row + 1 :]])
    problems = [p for p in check(MultiLabelDataModule(str(tmp_path)), min_positives=3) if p.kind == kind]
    assert [problem.row for problem in problems] == [None if kind == "group" else row]
    assert part in problems[0].message


def test_images_that_cannot_be_read_and_those_cut_short_are_found(tmp_path):
    labels(tmp_path, GOOD)
    whole = (tmp_path / "2.jpg").read_bytes()
    (tmp_path / "2.jpg").write_bytes(whole[: len(whole) * 2 // 3])
    (tmp_path / "4.jpg").write_bytes(b"")
    (tmp_path / "5.jpg").write_text("no image")
    assert found(check(MultiLabelDataModule(str(tmp_path)), min_positives=2)) == [
        ("image", 2),
        ("image", 4),
        ("image", 5),
    ]


def test_near_duplicates_across_the_split_are_found_and_others_are_not(tmp_path):
    labels(tmp_path, GOOD)
    smooth(3, size=(80, 60)).save(tmp_path / "10.jpg", quality=60)  # 3, larger and worse
    smooth(4).save(tmp_path / "5.jpg", quality=70)  # both are for training
    problems = check(MultiLabelDataModule(str(tmp_path)), min_positives=2)
    assert found(problems) == [("near-duplicate", 3)]
    assert "looks like 10.jpg of the validation split" in problems[0].message


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image.point(lambda value: value * 0.8),
        lambda image: image.point(lambda value: 40 + value * 0.8),
        lambda image: image.crop((1, 1, image.width - 1, image.height - 1)),
        lambda image: image.resize((image.width // 6, image.height // 6)),
    ],
    ids=["darker", "less contrast", "cropped", "small"],
)
def test_photographs_are_found_again_after_a_change(change, tmp_path):
    labels(tmp_path, GOOD)
    for i in range(12):
        smooth(i, (320, 240)).save(tmp_path / f"{i}.jpg", quality=95)
    change(smooth(3, (320, 240))).save(tmp_path / "10.jpg", quality=60)
    assert found(check(MultiLabelDataModule(str(tmp_path)), min_positives=2)) == [("near-duplicate", 3)]


def drawn(lines, size=(256, 192)):
    """A white page with lines on it."""
    page = Image.new("RGB", size, "white")
    for line in lines:
        ImageDraw.Draw(page).line(line, fill="black", width=2)
    return page


def ramp(low, high):
    return Image.fromarray(np.broadcast_to(np.linspace(low, high, 64).round(), (48, 64)).astype(np.uint8))


PLAIN = {
    "colours": [Image.new("RGB", (64, 48), (20 * i, 90, 255 - 20 * i)) for i in range(12)],
    "line drawings": [drawn([(10 + 15 * i, 10, 40 + 15 * i, 150)]) for i in range(12)],
    "faint gradients": [ramp(100, 110 + 2 * i) for i in range(12)],
    "dark photographs of 16 bits": [
        Image.fromarray(np.asarray(smooth(i).convert("L")).astype(np.uint16) * (257 if i == 3 else 40))
        for i in range(12)
    ],
}


@pytest.mark.parametrize("kind", PLAIN)
def test_a_hash_only_proposes_and_pixels_show_a_duplicate(kind, tmp_path):
    write_multilabel(tmp_path, ["fname,labels,group,is_valid", *(row.replace("jpg", "png") for row in GOOD)], 0)
    for i, image in enumerate(PLAIN[kind]):
        image.save(tmp_path / f"{i}.png")
    assert check(MultiLabelDataModule(str(tmp_path)), min_positives=2) == []
    PLAIN[kind][9].save(tmp_path / "1.png")
    assert found(check(MultiLabelDataModule(str(tmp_path)), min_positives=2)) == [("near-duplicate", 1)]


def test_fix_leaves_no_row_out_for_its_looks_unless_asked(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    labels(Path("data"), [*GOOD[:5], "none.jpg,dog,g5,False", *GOOD[6:]])
    smooth(3).save("data/10.jpg", quality=60)
    config = ["check", "--config", str(CONF / "multilabel.yaml"), "--data.root", "data", "--min_positives", "2"]
    for option, kept, line in (
        ([], 11, "fixed.csv: without 1 rows\nfixed.csv: with 1 near-duplicates; --fix_near_duplicates true"),
        (["--fix_near_duplicates", "true"], 10, "fixed.csv: without 2 rows\n"),
    ):
        with pytest.raises(SystemExit):
            console([*config, "--fix", "fixed.csv", *option])
        assert line in capsys.readouterr().out
        assert len(Path("fixed.csv").read_text().splitlines()) == 1 + kept


def test_labels_with_few_images_are_found(tmp_path):
    labels(tmp_path, GOOD)
    problems = check(MultiLabelDataModule(str(tmp_path)), min_positives=5)
    assert [p.message for p in problems] == [f"label {name!r} has 4 training images" for name in ("cat", "dog")]


@pytest.mark.parametrize(("columns", "cell", "n"), [("labels", "", 12), ("labels,difficult", ",cat", 11)])
def test_a_label_that_all_images_have_is_found(tmp_path, columns, cell, n):
    empty = cell and ","
    rows = [f"{i}.jpg,{'cat dog' if i % 2 else 'cat'}{cell if i == 3 else empty},train" for i in range(12)]
    write_multilabel(tmp_path, [f"fname,{columns},split", *rows, f"12.jpg,dog{empty},val"], 13)
    (doubt,) = [problem for problem in check(MultiLabelDataModule(str(tmp_path))) if problem.kind == "constant"]
    assert doubt.message == f"label 'cat': all {n} training images have it"  # mAP would say 1 of it


def test_where_all_rows_train_nothing_stands_in_validation_alone_and_nothing_leaks(tmp_path):
    labels(tmp_path, [*GOOD[:8], "8.jpg,cow,g1,True", *GOOD[9:]])
    smooth(3).save(tmp_path / "9.jpg")
    apart = check(MultiLabelDataModule(str(tmp_path)), min_positives=3)
    assert sorted(kind for kind, _ in found(apart)) == ["group", "label", "near-duplicate"]
    assert found(check(MultiLabelDataModule(str(tmp_path), train_on_valid=True), min_positives=1)) == []
    few = check(MultiLabelDataModule(str(tmp_path), train_on_valid=True), min_positives=3)
    assert [problem.message for problem in few] == ["label 'cow' has 1 training images"]


def test_points_are_checked(tmp_path):
    rows = [f"{i}.jpg,{i >= 6},{5 + i},6" for i in range(8)]
    rows[1], rows[2], rows[3] = "1.jpg,False,31.5,6", "2.jpg,False,32,6", "3.jpg,False,5,"
    rows[4], rows[5] = "4.jpg,False,here,6", "5.jpg,False,,"
    write_points(tmp_path, ["fname,is_valid,nose_x,nose_y", *rows])
    problems = check(KeypointDataModule(str(tmp_path)), max_distance=0)
    assert found(problems) == [("cell", 4), ("cell", 3), ("point", 2)]
    (outside,) = [problem.message for problem in problems if problem.kind == "point"]
    assert "row 4: nose at (32, 6) is outside the image of 32×24 pixels" in outside


def test_biwi_is_checked(tmp_path):
    draw_biwi(tmp_path, frames=2)
    data = BiwiDataModule(str(tmp_path))
    frame = tmp_path / data.table["fname"].iloc[0]
    frame.write_bytes(frame.read_bytes()[:500])
    assert found(check(data, max_distance=0)) == [("image", 0)]


def test_the_verb_exits_with_1_and_writes_the_table_without_the_bad_rows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    labels(Path("data"), [*GOOD[:3], 'none.jpg,"cat dog",g3,False', *GOOD[4:]])
    config = ["check", "--config", str(CONF / "multilabel.yaml"), "--data.root", "data", "--min_positives", "2"]
    with pytest.raises(SystemExit) as caught:
        console([*config, "--fix", "data/fixed.csv"])
    assert caught.value.code == 1
    printed = capsys.readouterr().out
    assert "image           data/labels.csv: row 5: there is no image data/none.jpg" in printed
    assert "1 × image" in printed
    with Path("data/fixed.csv").open(newline="") as file:
        assert [row[0] for row in csv.reader(file)] == ["fname", *(f"{i}.jpg" for i in range(12) if i != 3)]
    assert console([*config, "--data.csv", "fixed.csv"]) == 0
    assert "nothing is wrong" in capsys.readouterr().out


def test_a_repeated_row_is_left_out_and_rows_that_deny_each_other_are_not(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    labels(Path("data"), [*GOOD, "./1.jpg,cat,g1,False", "2.jpg,cat,g2,False"])
    config = ["check", "--config", str(CONF / "multilabel.yaml"), "--data.root", "data", "--min_positives", "2"]
    with pytest.raises(SystemExit):
        console([*config, "--fix", "data/fixed.csv"])
    printed = capsys.readouterr().out
    assert "data/fixed.csv: without 1 rows\ndata/fixed.csv: with 1 rows that only you can put right" in printed
    assert "2 × duplicate\nduplicate: Keep one of the rows.\nduplicate: Put all labels of an image" in printed
    assert Path("data/fixed.csv").read_text().splitlines()[-2:] == [GOOD[-1], "2.jpg,cat,g2,False"]


def test_a_table_that_cannot_be_read_at_all_is_told(tmp_path, capsys):
    (tmp_path / "labels.csv").write_text("name,labels\n1.jpg,cat\n")
    with pytest.raises(TableError, match="no column 'fname'"):
        check(MultiLabelDataModule(str(tmp_path)))
    draw_biwi(tmp_path / "biwi", frames=2)
    biwi = ["check", "--config", str(CONF / "biwi.yaml"), "--data.root", str(tmp_path / "biwi"), "--fix", "x.csv"]
    assert console(biwi) == 2
    assert "BiwiDataModule reads none" in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_fixed_table_reads_like_the_one_before(tmp_path, capsys, monkeypatch, encoding):
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "data"
    labels(root, GOOD)
    lines = [
        "fname;p_x;p_y;is_valid",
        "0.jpg;12,5;3;0.0",
        "1.jpg;x;2;0.0",
        "2.jpg;nan;nan;0.0",
        "3.jpg;7,25;8;1.0",
        ";;;",
    ]
    (root / "points.csv").write_text("\n".join(lines), encoding=encoding)
    command = ["check", "--config", str(CONF / "keypoints.yaml"), "--data.root", "data"]
    with pytest.raises(SystemExit, match="1"):
        console([*command, "--fix", "data/fixed.csv"])
    now = ", now in UTF-8" if encoding == "utf-16" else ""
    said = capsys.readouterr().out
    assert "row 3, column 'p_x': 'x' is not a number" in said
    assert f"data/fixed.csv: without 1 rows{now}\n" in said
    (root / "points.csv").write_text("\n".join(line for line in lines if "1.jpg" not in line), encoding=encoding)
    before, after = (KeypointDataModule("data", csv=csv).table for csv in ("points.csv", "fixed.csv"))
    assert before["p_x"].tolist()[::2] == [12.5, 7.25]
    pd.testing.assert_frame_equal(after, before)
