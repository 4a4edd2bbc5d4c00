"""Where `init` and `convert` find images, and what they leave behind when something is wrong."""

import csv
from pathlib import Path

import pytest
import yaml

from lightning_tasks.__main__ import console
from tests.fakes import write_image

CELLS = ("cat", "dog", "cat;dog", "dog")


def config(path):
    return yaml.safe_load(Path(path).read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    return tmp_path / "cwd"


def write_table(path, header="fname,labels", images="images", cells=CELLS):
    for i in range(len(cells)):
        write_image(path.parent / images / f"{i}.png", seed=i)
    path.write_text("\n".join([header, *(f"{i}.png,{cell}" for i, cell in enumerate(cells))]) + "\n")


@pytest.mark.parametrize("header", ["fname,labels", "image,tags"])  # ours, and another's
@pytest.mark.parametrize(
    ("folder", "given"),
    [("pets", None), ("pets", "../data/pets"), ("images", None), (".", None), (".", "../data")],
)  # fmt: skip
def test_the_images_of_every_table_are_found_alike(here, capsys, header, folder, given):
    table = Path("../data/t.csv")
    write_table(table, header, folder)
    assert console(["init", "../data/t.csv", "--output", "c.yaml", *(["--images", given] if given else [])]) == 0
    data = config("c.yaml")["data"]["init_args"]
    assert (Path(data["root"]) / data["images"]).resolve() == (table.parent / folder).resolve()
    assert "missing" not in capsys.readouterr().out


def test_a_folder_of_images_may_be_seen_from_its_own_table(here):
    write_table(Path("../data/t.csv"), images="pets")
    assert console(["init", "../data/t.csv", "--images", "pets"]) == 0
    assert config("t.yaml")["data"]["init_args"]["images"] == "pets"


def test_of_two_folders_of_that_name_it_is_the_one_with_the_images(here):
    Path("pets").mkdir()
    write_table(Path("../data/t.csv"), images="pets")
    assert console(["init", "../data/t.csv", "--images", "pets"]) == 0
    assert config("t.yaml")["data"]["init_args"]["images"] == "pets"


@pytest.mark.parametrize("header", ["fname,labels", "image,tags"])
def test_a_folder_of_images_that_is_not_there(here, capsys, header):
    write_table(Path("../data/t.csv"), header)
    assert console(["init", "../data/t.csv", "--images", "nothing"]) == 2
    assert "There is no folder nothing (--images)" in capsys.readouterr().err
    assert not list(here.iterdir())


def test_images_that_are_missing_are_told_with_a_way_out(here, capsys):
    write_table(Path("t.csv"))
    Path("images/2.png").unlink()
    assert console(["init", "t.csv"]) == 0
    said = capsys.readouterr().out
    assert "missing          1 of the 4 images, such as 2.png in images; --images names another folder\n" in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--task", "multiclass"], "Correct the row, or take --task multilabel"),
        (["--task", "nothing"], "it is one of multiclass, multilabel, keypoints, values."),
        (["--vocab", "[dog]"], "'cat' is not among the 1 labels of the vocabulary"),
        (["--output", "mine.yaml"], "mine.yaml is there already"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("header", ["fname,labels", "image,tags"])
def test_what_goes_wrong_leaves_nothing_behind(here, capsys, header, options, message):
    write_table(Path("../data/t.csv"), header)
    Path("mine.yaml").write_text("mine")
    assert console(["init", "../data/t.csv", *options]) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in here.iterdir()] == ["mine.yaml"]


@pytest.mark.parametrize("command", [["convert", "t.csv", "--output"], ["init", "t.csv", "--table"]])
def test_a_table_of_ours_is_not_converted(here, capsys, command):
    write_table(Path("t.csv"))
    assert console([*command, "new.csv"]) == 2
    said = capsys.readouterr().err
    assert "t.csv is a table of ours already, and new.csv would not be written" in said
    assert "--format csv" in said
    assert console([*command, "new.csv", "--format", "csv"]) == 0
    with Path("new.csv").open(encoding="utf-8", newline="") as file:
        assert [row[1] for row in csv.reader(file)] == ["labels", *CELLS]


def test_convert_says_that_a_table_of_ours_stays(here, capsys):
    write_table(Path("t.csv"))
    assert console(["convert", "t.csv"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "table            t.csv  (one of ours already: nothing is written)",
        "arguments        --data.root . --data.csv t.csv --data.images images",
    ]


@pytest.mark.parametrize("header", ["fname,labels", "image,tags"])
def test_init_says_what_it_chose(here, capsys, header):
    write_table(Path("t.csv"), header, cells=("cat", "dog", "dog", "cat"))
    assert console(["init", "t.csv", "--output", "c.yaml"]) == 0
    said = capsys.readouterr().out
    assert "task             multiclass  (--task names another)\nrecipe           balanced  (--preset fast, " in said
    assert all(len(line) <= 80 for line in said.splitlines() if not line.startswith("note"))


def test_the_help_of_a_verb_tells_what_its_words_are(capsys):
    with pytest.raises(SystemExit, match="0"):
        console(["init", "--help"])
    words = " ".join(capsys.readouterr().out.split())
    assert "a table of ours" in words
    assert "or another tool's annotations: a csv, tsv, json, xml, txt or parquet file, a folder, or a zip." in words


def test_a_config_has_names_in_their_own_script(here):
    write_table(Path("Tür.csv"), cells=("猫", "犬", "猫;犬", "犬"))
    assert console(["init", "Tür.csv", "--vocab", "[猫, 犬]"]) == 0
    text = Path("Tür.yaml").read_text(encoding="utf-8")
    assert "csv: Tür.csv\n" in text
    assert "vocab: [猫, 犬]\n" in text


@pytest.mark.parametrize(
    ("split", "line"),
    [
        (("train", "train", "train", "test"), "no row is marked val in split: a fifth is drawn for validation"),
        (("train", "train", "val", "test"), "1 rows are marked val in split: these are for validation"),
    ],
)  # fmt: skip
def test_a_config_says_how_rows_are_split(here, split, line):
    write_table(Path("t.csv"), "fname,labels,split", cells=[f"{c},{s}" for c, s in zip(CELLS, split, strict=True)])
    assert console(["init", "t.csv"]) == 0
    assert f"# {line}\n" in Path("t.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(("groups", "told"), [(4, False), (5, True)])
def test_folds_are_spoken_of_where_there_are_groups_for_them(here, groups, told):
    write_table(Path("t.csv"), "fname,labels,group", cells=[f"cat;{'ab'[i % 2]},g{i % groups}" for i in range(10)])
    assert console(["init", "t.csv"]) == 0
    text = Path("t.yaml").read_text(encoding="utf-8")
    assert f"# {groups} groups" in text
    assert ("--data.fold 0" in text) == told


@pytest.mark.parametrize("name", ["t.parquet", "t.tsv", "t"])
def test_a_table_is_written_as_csv_alone(here, capsys, name):
    write_table(Path("../data/t.csv"), "image,tags")
    assert console(["convert", "../data/t.csv", "--output", name]) == 2
    assert f"{name}: a table of ours is written as csv. End its name in .csv." in capsys.readouterr().err
    assert not list(here.iterdir())
