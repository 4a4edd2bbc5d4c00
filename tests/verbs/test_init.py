"""From somebody's table to a config that runs."""

import contextlib
import csv
import os
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lightning_tasks.__main__ import console
from lightning_tasks.data.images.opencv import cv2
from tests.conftest import CONF
from tests.data.formats.test_csv_tables import write_example
from tests.fakes import FLAGS, LABELS, POINTS, write_image, write_multilabel, write_points

QUICK = [*FLAGS, "--model.pretrained", "false", "--trainer.max_epochs", "1", "--data.batch_size", "4"]


def config(path):
    return yaml.safe_load(Path(path).read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_labels_from_nothing_to_a_model(here, capsys):
    write_multilabel(here / "root", LABELS)
    assert console(["init", "root/labels.csv"]) == 0
    said = capsys.readouterr().out
    assert "labels.yaml  (labels, 8 images)" in said
    assert "lightning-tasks fit        --config labels.yaml" in said
    text = Path("labels.yaml").read_text()
    assert config("labels.yaml")["data"]["init_args"]["root"] == "root"
    for line in (
        "#   cat: 4  (few)",
        "# 2 rows are marked is_valid",
        "a MultiClassClassifier on a MultiClassDataModule trains a softmax",
        "# most images have 32×24 pixels",
    ):
        assert line in text
    assert console(["check", "--config", "labels.yaml", "--min_positives", "1"]) == 0
    assert console(["fit", "--config", "labels.yaml", *QUICK, "--data.size", "32"]) == 0


def test_exactly_one_label_each_is_a_softmaxs_unless_it_is_said_not_to_be(here, capsys):
    write_multilabel(here / "root", LABELS)
    for more, model, data in (
        ([], "MultiClassClassifier", "MultiClassDataModule"),
        (["--task", "multilabel"], "MultiLabelClassifier", "MultiLabelDataModule"),
        (["--task", "multiclass"], "MultiClassClassifier", "MultiClassDataModule"),
    ):
        assert console(["init", "root/labels.csv", "--force", "true", *more]) == 0
        found = config("labels.yaml")
        assert (found["model"]["class_path"], found["data"]["class_path"]) == (model, data)
        assert ("threshold" in found["model"]["init_args"]) == (model == "MultiLabelClassifier")
    assert "init --task multilabel" in Path("labels.yaml").read_text()
    for lines, message in (
        ([*LABELS[:-1], "7.jpg,cat dog,True"], "row 9, column 'labels': 2 labels"),
        ([*LABELS[:-1], "7.jpg,,True"], "row 9, column 'labels': no labels"),
        ([line.replace("cat", "dog") for line in LABELS], "all images have the same label"),
    ):
        write_multilabel(here / "root", lines)
        assert console(["init", "root/labels.csv", "--force", "true"]) == 0
        assert config("labels.yaml")["model"]["class_path"] == "MultiLabelClassifier"
        before = Path("labels.yaml").read_bytes()
        assert console(["init", "root/labels.csv", "--force", "true", "--task", "multiclass"]) == 2
        assert message in capsys.readouterr().err
        assert Path("labels.yaml").read_bytes() == before


def test_a_task_may_be_named_where_the_columns_are_of_several(here, capsys):
    write_image(here / "0.jpg")
    Path("t.csv").write_text("fname,labels,nose_x,nose_y\n0.jpg,cat dog,1,2\n")
    assert console(["init", "t.csv"]) == 2
    for name, model in (("multilabel", "MultiLabelClassifier"), ("keypoints", "KeypointRegressor")):
        assert console(["init", "t.csv", "--task", name, "--force", "true"]) == 0
        assert config("t.yaml")["model"]["class_path"] == model
    Path("t.csv").write_text("fname,labels\n0.jpg,cat dog\n")
    assert console(["init", "t.csv", "--task", "keypoints", "--force", "true"]) == 2
    assert "the columns are of something else than points. A table has `fname,<point>_x" in capsys.readouterr().err
    assert console(["init", "t.csv", "--task", "labels", "--force", "true"]) == 2
    assert (
        "--task 'labels': there is no such task; it is one of multiclass, multilabel, keypoints, values"
        in capsys.readouterr().err
    )


TABLES = {
    "multilabel": "fname,labels\n0.jpg,cat dog\n1.jpg,\n2.jpg,cat\n",
    "multiclass": "fname,labels\n0.jpg,cat\n1.jpg,dog\n2.jpg,cat\n",
    "keypoints": "fname,l_eye_x,l_eye_y,r_eye_x,r_eye_y\n0.jpg,1,2,3,4\n1.jpg,1,2,3,4\n2.jpg,1,2,3,4\n",
    "values": "fname,age\n0.jpg,1\n1.jpg,2\n2.jpg,3\n",
}


@pytest.mark.parametrize("preset", ["balanced", "fast", "best", "fastai"])
@pytest.mark.parametrize("table", TABLES)
def test_every_recipe_is_read_by_every_kind_of_verb(here, capsys, table, preset):
    Path("t.csv").write_text(TABLES[table])
    assert console(["init", "t.csv", "--preset", preset]) == 0
    written = config("t.yaml")
    kinds = ("lr_find",) if preset != "balanced" else ("lr_find", "fit", "check")
    for verb in kinds:
        capsys.readouterr()
        with contextlib.suppress(SystemExit):
            console([verb, "--config", "t.yaml", "--print_config"])
        read = yaml.safe_load(capsys.readouterr().out)
        for section in ("model", "data"):
            arguments = read[section]["init_args"]
            for name, value in written[section]["init_args"].items():
                assert arguments[name] == value, name
        assert len(read["trainer"]["callbacks"]) == 1
        assert read["trainer"]["max_epochs"] == written["trainer"]["max_epochs"]


def test_weights_come_from_a_file(here, capsys):
    write_multilabel(here / "root", LABELS)
    torch.save(timm.create_model("test_resnet").state_dict(), "w.pth")
    init = ["init", "root/labels.csv", "--backbone", "test_resnet"]
    assert console([*init, "--weights", "none.pth"]) == 2
    assert "There is no weights file none.pth (--weights)" in capsys.readouterr().err
    assert console(["init", "root/labels.csv", "--backbone", "resnet19"]) == 2
    assert "timm has no backbone 'resnet19'. Did you mean" in capsys.readouterr().err
    assert not Path("labels.yaml").exists()
    assert console([*init, "--weights", "w.pth"]) == 0
    arguments = config("labels.yaml")["model"]["init_args"]
    assert (arguments["backbone"], arguments["weights"]) == ("test_resnet", "w.pth")
    assert "pretrained" not in arguments
    Path("w.pth").rename("test_resnet.pth")
    assert console(["init", "root/labels.csv", "--weights", "test_resnet.pth", "--force", "true"]) == 0
    assert config("labels.yaml")["model"]["init_args"]["backbone"] == "test_resnet"
    quick = ["--trainer.accelerator", "cpu", "--data.num_workers", "0", "--trainer.enable_progress_bar", "false"]
    assert console(["fit", "--config", "labels.yaml", *quick, "--trainer.max_epochs", "1"]) == 0
    assert console(["lr_find", "--config", "labels.yaml", *quick]) == 0


def test_grey_and_tiny_images_are_not_enlarged(here):
    for i in range(20):
        cv2.imwrite(f"{i}.png", np.full((28, 28), i, dtype=np.uint8))
    rows = "\n".join(f"{i}.png,{'odd' if i % 2 else 'even'}" for i in range(20))
    Path("t.csv").write_text(f"fname,labels\n{rows}\n")
    assert console(["init", "t.csv"]) == 0
    arguments = config("t.yaml")["data"]["init_args"]
    assert (arguments["size"], arguments["batch_size"]) == (32, 8)
    assert "most images have 28×28 pixels" in Path("t.yaml").read_text()
    assert (
        console(["fit", "--config", "t.yaml", *FLAGS, "--model.pretrained", "false", "--trainer.max_epochs", "1"]) == 0
    )


def test_points_from_nothing_to_a_model(here):
    write_points(here / "root", POINTS)
    assert console(["init", "root/points.csv", "--output", "mine.yaml"]) == 0
    arguments = config("mine.yaml")["data"]["init_args"]
    assert arguments["size"] == [32, 32]  # of 24×32 pixels
    assert arguments["swap_pairs"] is None  # l and r: no word of a side beside another
    assert console(["fit", "--config", "mine.yaml", *QUICK]) == 0


@pytest.mark.parametrize(
    ("cells", "separator"),
    [
        (["a b", "b c"], " "),
        (["red car;dog", "dog;red car"], ";"),
        (["red car, dog", "dog"], ","),
        (["a|b", "c"], "|"),
        (["a", "b"], " "),
    ],
)
def test_the_separator_is_seen(here, cells, separator):
    write_multilabel(here, [], 2)
    with Path("t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["fname", "labels"], *([f"{i}.jpg", cell] for i, cell in enumerate(cells))])
    assert console(["init", "t.csv"]) == 0
    assert config("t.yaml")["data"]["init_args"]["label_separator"] == separator


def write_cells(cells):
    with Path("t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["fname", "labels"], *([f"{i}.jpg", cell] for i, cell in enumerate(cells))])


def test_where_a_blank_may_be_part_of_a_name_init_asks(here, capsys):
    write_cells(["hot dog", "not hot dog"] * 4)
    assert console(["init", "t.csv"]) == 2
    said = capsys.readouterr().err
    assert "the words of 'hot dog' always stand together" in said
    assert "--label_separator none; where blanks do separate labels, --label_separator ' '" in said
    assert not Path("t.yaml").exists()
    for answer, labels in (("none", ["hot dog: 4", "not hot dog: 4"]), (" ", ["dog: 8", "hot: 8", "not: 4"])):
        assert console(["init", "t.csv", "--label_separator", answer, "--force", "true"]) == 0
        assert config("t.yaml")["data"]["init_args"]["label_separator"] == answer
        assert all(f"#   {label}" in Path("t.yaml").read_text() for label in labels)


@pytest.mark.parametrize(
    "cells",
    [
        ["['Action', 'Hot Dog']", "['Action']", "[]"],
        ['["Action","Hot Dog"]', '["Action"]', "[]"],
        ['{"choices":["Action", "Hot Dog"]}', '{"choices":["Action"]}', '{"choices":[]}'],
        ["['Action' 'Hot Dog']", "['Action']", "[]"],
    ],
)
def test_lists_are_read_as_lists(here, cells):
    write_cells(cells * 3)
    assert console(["init", "t.csv"]) == 0
    text = Path("t.yaml").read_text()
    assert "# 2 labels, 1.00 an image:" in text
    assert "#   Action: 6" in text
    assert "#   Hot Dog: 3" in text


def test_words_for_nothing_are_labels_where_they_are_named(here, capsys):
    write_cells(["cat", "None", "cat"])
    assert console(["init", "t.csv"]) == 2
    assert "row 3, column 'labels': 'None' stands for nothing" in capsys.readouterr().err
    assert console(["init", "t.csv", "--vocab", "[cat, None]"]) == 0
    assert config("t.yaml")["data"]["init_args"]["vocab"] == ["cat", "None"]


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (["left_eye", "right_eye", "nose"], [["left_eye", "right_eye"]]),
        (["eye_l", "eye_r"], [["eye_l", "eye_r"]]),
        (["l_hand", "r_hand"], [["l_hand", "r_hand"]]),
        (["a", "b"], None),
    ],
)
def test_left_and_right_are_seen(here, names, pairs):
    write_image(here / "0.jpg", (96, 128))
    Path("t.csv").write_text(f"fname,{','.join(f'{n}_x,{n}_y' for n in names)}\n0.jpg{',1,2' * len(names)}\n")
    assert console(["init", "t.csv"]) == 0
    assert config("t.yaml")["data"]["init_args"]["swap_pairs"] == pairs
    assert config("t.yaml")["data"]["init_args"]["size"] == [96, 128]


def test_pairs_that_another_tool_knows_are_taken(here):
    for name, text in {
        "d/data.yaml": "names: [cat]\ntrain: images\nval: images\nkpt_shape: [3, 2]\nflip_idx: [0, 2, 1]\n",
        "d/labels/a.txt": "0 .5 .5 1 1 .5 .5 .3 .5 .7 .5\n",
    }.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text.replace("val: images\n", ""))
    write_image(here / "d/images/a.jpg", (96, 128))
    assert console(["init", "d"]) == 0
    found = config("points.yaml")
    assert found["data"]["init_args"]["swap_pairs"] == [["p1", "p2"]]
    assert found["model"]["init_args"]["flip_tta"] is True


def test_the_68_points_of_a_face_have_the_overlays_pairs(here):
    names = [f"p{i:02d}" for i in range(68)]
    Path("t.csv").write_text(f"fname,{','.join(f'{n}_x,{n}_y' for n in names)}\n0.jpg{',1,2' * 68}\n")
    assert console(["init", "t.csv"]) == 0
    wanted = config(CONF / "face68.yaml")["data"]["init_args"]["swap_pairs"]
    assert sorted(config("t.yaml")["data"]["init_args"]["swap_pairs"]) == sorted(wanted)
    assert "# 1 of the 1 images are not there" in Path("t.yaml").read_text()


def test_the_columns_that_decide_and_those_that_nobody_reads_are_explained(here):
    write_image(here / "0.jpg", (96, 128))
    rows = ["0.jpg,1,2,0,train,x", "0.jpg,1,2,2,val,y", "0.jpg,1,2,1,test,z"]
    Path("t.csv").write_text("\n".join(["fname,nose_x,nose_y,nose_v,split,Group", *rows]))
    assert console(["init", "t.csv"]) == 0
    text = Path("t.yaml").read_text()
    assert "# 1 rows are marked val in split: these are for validation" in text
    assert "# 1 rows are marked test: --data.test_csv t.csv scores them" in text
    assert "66.7% of them annotated; an empty cell, or 0 in <point>_v, is a point that is not annotated" in text
    assert "nothing reads the column 'Group'. If that is what is meant, rename 'Group' to 'group'." in text


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        ("filename,labels", "0.jpg,", "no image has a label"),
        ("fname,tags", "0.jpg,", "no image has a label"),
        ("fname,nose_X,nose_Y", "0.jpg,,", "no image has a point"),
        (
            "fname,labels,a_x,a_y",
            "0.jpg,x,1,2",
            "labels and points. Say which are meant: --task multilabel or --task k",
        ),
        ("fname,other", "0.jpg,", "no column of numbers"),
        ("fname,a_x", "0.jpg,1", "the point 'a' has no column 'a_y'"),
        ("fname,labels", "0.jpg,", "no image has a label"),
        ("code,what", "0,x", "no column names image files; it has 'code', 'what'"),
    ],
)
def test_tables_that_are_none(here, capsys, header, row, message):
    Path("t.csv").write_text(f"{header}\n{row}\n")
    assert console(["init", "t.csv"]) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in here.iterdir()] == ["t.csv"]


@pytest.mark.parametrize(
    ("text", "options", "table", "rows"),
    [
        ("image_id;tags\n0;cat,dog\n1;dog\n", [], "labels.csv", ["0.jpg,cat;dog", "1.jpg,dog"]),
        ("fname,label\n0,cat\n0,dog\n1,dog\n", [], "labels.csv", ["0.jpg,cat;dog", "1.jpg,dog"]),
        ("fname,cat,dog\n0.jpg,1,0\n1.jpg,-1,1\n", [], "labels.csv", ["0.jpg,cat,", "1.jpg,dog,cat"]),
        ("fname,a,b\n0,1,0\n1,0,1\n", ["--task", "values"], "values.csv", ["0.jpg,1.0,0.0", "1.jpg,0.0,1.0"]),
        ("image,label\n0,3\n1,4\n", ["--task", "values"], "values.csv", ["0.jpg,3.0", "1.jpg,4.0"]),
        ("image,noseX,noseY\n0,1,2\n1,3,4\n", [], "points.csv", ["0.jpg,1.0,2.0", "1.jpg,3.0,4.0"]),
        ("a,b,c\n0,x,y\n1,y,y\n", ["--columns", "fname=a,labels=b"], "labels.csv", ["0.jpg,x", "1.jpg,y"]),
        ("fname,labels\n0.jpg,OK\n1.jpg,x\n", ["--none", "OK"], "labels.csv", ["0.jpg,", "1.jpg,x"]),
    ],
)  # fmt: skip
def test_tables_of_others_become_ours(here, text, options, table, rows):
    for i in range(2):
        write_image(here / "images" / f"{i}.jpg", seed=i)
    Path("t.csv").write_text(text)
    assert console(["init", "t.csv", *options]) == 0
    assert Path(table).read_text().splitlines()[1:] == rows
    arguments = config(table.replace(".csv", ".yaml"))["data"]["init_args"]
    assert (arguments["csv"], arguments["images"]) == (table, "images")


def test_what_was_converted_is_checked_and_trained(here):
    path = write_example(here)
    assert console(["init", str(path), "--output", "c.yaml"]) == 0
    assert Path("labels.csv").read_text().splitlines() == [
        "fname,labels",
        "0.jpg,cat;dog",
        "1.jpg,dog",
        "2.jpg,cat",
        "3.jpg,",
    ]
    assert console(["check", "--config", "c.yaml", "--min_positives", "1"]) == 0


def test_a_config_that_is_there_stays(here, capsys):
    write_multilabel(here / "root", LABELS)
    Path("labels.yaml").write_text("mine")
    assert console(["init", "root/labels.csv"]) == 2
    assert "--force true" in capsys.readouterr().err
    assert Path("labels.yaml").read_text() == "mine"
    assert console(["init", "root/labels.csv", "--force", "true"]) == 0
    assert console(["init", "nothing.csv"]) == 2


def test_a_name_that_no_config_can_hold(here, capsys):
    write_multilabel(here / "root", LABELS)
    odd = Path(os.fsdecode(b"\xff.csv"))
    odd.write_bytes(Path("root/labels.csv").read_bytes())
    assert console(["init", str(odd)]) == 2
    assert "\\udcff.csv is no name in UTF-8" in capsys.readouterr().err
    assert not list(Path().glob("*.yaml"))


NAMES = st.text(st.characters(exclude_characters=",\x00", exclude_categories=("Cs",)), min_size=1, max_size=12)


@pytest.mark.filterwarnings("ignore::lightning_tasks.errors.LightningTasksWarning")  # doubts about odd labels
@settings(max_examples=100)
@given(label=NAMES, name=NAMES, folder=st.sampled_from(["plain", "with space", "a: b # c", "quo'te"]))
def test_hostile_names_stay_in_their_place(tmp_path_factory, label, name, folder):
    assume((label + name).strip())  # a row of blanks is none, and a table with one is read as anybody's
    root = tmp_path_factory.mktemp("hostile") / folder
    root.mkdir()
    with (root / "t.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["fname", "labels"], [name, label], ["b.jpg", "plain label"]])
    code = console(["init", str(root / "t.csv"), "--output", str(root / "t.yaml")])
    if code:  # an empty name, a label that stands twice: told by the table's reader
        assert code == 2
        return
    found = config(root / "t.yaml")
    assert set(found) == {"model", "data", "trainer", "checkpoint"}
    assert found["data"]["init_args"]["root"] == str(root)
    recipe = {"size", "batch_size", "min_scale", "flip_p", "val_xtra"}
    assert set(found["data"]["init_args"]) == {"root", "csv", "images", "label_separator"} | recipe


def test_a_rare_separator_is_a_doubt_where_nobody_chose_the_blank(here, capsys):
    write_multilabel(here, [], 3)
    write_cells(["cat/dog", "cat", "dog"])
    assert console(["init", "t.csv"]) == 0
    assert "'/' seems to stand between labels, as in 'cat/dog'" in capsys.readouterr().err
