"""What is wrong with a table as a whole: fit, prepare and check ask the same."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from lightning_tasks import KeypointDataModule, MultiLabelDataModule
from lightning_tasks.__main__ import console
from lightning_tasks.data.tables.splits import FILE
from lightning_tasks.errors import ConfigError, DatasetNotFoundError, LightningTasksWarning, TableError
from lightning_tasks.verbs.check import check
from tests.conftest import CONF
from tests.fakes import FLAGS, LABELS, POINTS, write_multilabel, write_points


def labels(root, *rows, header=None, **settings):
    """A module of LABELS' rows, six for training and two for validation, and of more; or of these with a header."""
    write_multilabel(root, [*([header] if header else LABELS), *rows])
    return MultiLabelDataModule(str(root), num_workers=0, cache="none", size=16, **settings)


def points(root, *rows, **settings):
    write_points(root, [*POINTS, *rows])
    return KeypointDataModule(str(root), num_workers=0, cache="none", size=16, **settings)


def told(data, stage="fit"):
    """The doubts that a stage tells, but for few labels."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data.setup(stage)
    messages = [str(w.message) for w in caught if issubclass(w.category, LightningTasksWarning)]
    return [message for message in messages if "training images" not in message]


@pytest.mark.parametrize(
    ("make", "row", "parts"),
    [
        (labels, "1.jpg,dog,False", ["row 10", "row 3", "'labels'", "all labels of an image into one row, with ' '"]),
        (points, "1.jpg,False,1,2,3,4", ["row 10", "row 3", "'l_x', 'l_y', 'r_x', 'r_y'", "are not supported: crop"]),
        (points, "1.jpg,False,5,6,,", ["row 10", "row 3", "'r_x', 'r_y'", "one row"]),
        (labels, "./1.jpg,dog,False", ["row 10", "row 3"]),
        (labels, "7.jpg,dog,True", ["row 10", "row 9"]),
        (labels, "1.jpg,cat,True", ["row 10", "row 3", "for training, one for validation", "Keep one of the rows"]),
        (points, "sub/../1.jpg,True,5,6,10,7", ["row 10", "row 3", "for training, one for validation"]),
    ],
)
@pytest.mark.parametrize("stage", ["fit", "prepare", "check", "show_batch"])
def test_rows_of_one_image_that_make_numbers_wrong_stop_it(make, row, parts, stage, tmp_path):
    (tmp_path / "sub").mkdir()
    data = make(tmp_path, row)
    if stage == "check":
        (problem,) = check(data, min_positives=0, max_distance=0)
        assert (problem.kind, problem.row, problem.is_error) == ("duplicate", 8, True)
        message = f"{problem.message} {problem.way_out}"
    else:
        ask = {"fit": lambda: data.setup("fit"), "prepare": data.describe, "show_batch": data.one_batch}[stage]
        with pytest.raises(TableError) as caught:
            ask()
        message = str(caught.value)
    assert [part for part in parts if part not in message] == [], message


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        ("fname,labels,is_valid,box", ["0.jpg,cat dog,0,1 2", "0.jpg,dog cat,0,3 4", "1.jpg,cat dog,1,5 6"]),
        ("fname,labels,is_valid", ["0.jpg,cat dog,0", '0.jpg,"[""dog"", ""cat""]",0', "1.jpg,cat dog,1"]),
        ("fname,l_x,l_y,l_v,is_valid,box", ["0.jpg,5,6,1,0,7", "0.jpg,5,6.0,2,0,8", "1.jpg,9,9,2,1,9"]),
    ],
)
def test_rows_that_differ_in_what_is_not_said_of_the_image_count_twice_and_no_more(header, rows, tmp_path):
    if "labels" in header:
        write_multilabel(tmp_path, [header, *rows])
        data = MultiLabelDataModule(str(tmp_path), num_workers=0, cache="none", size=16)
    else:
        write_points(tmp_path, [header, *rows])
        data = KeypointDataModule(str(tmp_path), num_workers=0, cache="none", size=16)
    counts_twice = [problem for problem in data.find_problems(data.table, *data.split) if problem.kind == "duplicate"]
    assert [(problem.row, problem.is_error) for problem in counts_twice] == [(1, False)]
    assert "counts twice" in counts_twice[0].message


def test_validation_does_not_score_an_image_twice_but_training_rows_are_not_its_affair(tmp_path):
    with pytest.raises(TableError, match=r"row 10: 7\.jpg stands in row 9"):
        labels(tmp_path / "a", "7.jpg,dog,True").setup("validate")
    with pytest.raises(TableError, match=r"row 10: 1\.jpg stands in row 3"):
        labels(tmp_path / "b", "1.jpg,cat,True").setup("validate")
    assert told(labels(tmp_path / "c", "1.jpg,dog,False"), "validate") == []


@pytest.mark.parametrize("verb", ["fit", "prepare"])
@pytest.mark.parametrize("config", ["multilabel.yaml", "keypoints.yaml"])
def test_the_command_line_exits_with_2_and_names_both_rows(verb, config, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (labels if config == "multilabel.yaml" else points)(
        Path("root"), "4.jpg,cat,False" if config == "multilabel.yaml" else "4.jpg,False,1,1,2,2"
    )
    more = [*FLAGS, "--model.pretrained", "false"] if verb == "fit" else []
    assert console([verb, "--config", str(CONF / config), "--data.root", "root", *more]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: root/")
    assert "row 10: 4.jpg stands in row 6 already" in error
    assert not Path("runs").exists() or not list(Path("runs").rglob("*.ckpt"))


def test_a_row_that_is_repeated_cell_by_cell_is_a_doubt_in_one_line(tmp_path):
    again = [f"{i}.jpg,{'cat' if i % 2 else 'dog'},False" for i in range(5)]
    data = labels(tmp_path, *again)
    (line,) = told(data)
    assert "labels.csv: row 10: 0.jpg stands in row 2 already, and counts twice. " in line
    assert "And 2 more: `lightning-tasks check` lists all. Keep one of the rows." in line
    assert told(data, "validate") == []  # it was said
    problems = check(labels(tmp_path, *again), min_positives=0, max_distance=0)
    assert [(problem.kind, problem.row) for problem in problems] == [("duplicate", row) for row in range(8, 13)]


def test_prepare_counts_images_and_not_rows(tmp_path):
    data = labels(tmp_path, "0.jpg,dog,False", "./0.jpg,dog,False", test_csv="test.csv")
    (tmp_path / "test.csv").write_text("fname,labels\n6.jpg,dog\n6.jpg,dog\n7.jpg,cat\n")
    with warnings.catch_warnings(action="ignore"):
        lines = data.describe().splitlines()
    assert lines[0].endswith("8 images in 10 rows, 6 training, 2 validation")
    assert lines[-1].endswith("test.csv: 2 images in 3 rows for testing")


def test_a_link_is_the_file_that_it_leads_to(tmp_path):
    data = labels(tmp_path, "link.jpg,cow,False")
    (tmp_path / "link.jpg").symlink_to("2.jpg")
    with pytest.raises(TableError, match=r"row 10: link\.jpg stands in row 4 already"):
        data.setup("fit")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("settings", [{}, {"fold": 0, "folds": 2}])
def test_a_drawn_split_keeps_the_rows_of_one_image_together(seed, settings, tmp_path):
    rows = [f"{i % 4}.jpg,cat" for i in range(12)]
    data = labels(tmp_path, *rows, header="fname,labels", split_seed=seed, **settings)
    train, valid = data.split
    assert not set(data.table[FILE].iloc[train]) & set(data.table[FILE].iloc[valid])
    assert len(valid) % 3 == 0
    assert len(told(data)) == 1  # they count three times


def test_without_duplicates_the_draw_is_as_it_was(tmp_path):
    data = labels(tmp_path, *[f"{i}.jpg,cat" for i in range(8)], header="fname,labels")
    drawn = data.split_of(data.table.drop(columns=FILE))
    for ours, theirs in zip(data.split, drawn, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_groups_on_both_sides_are_told_in_one_line(tmp_path):
    header, rows = "fname,labels,group,is_valid", [f"{i}.jpg,cat,g{i % 5},{i >= 4}" for i in range(8)]
    data = labels(tmp_path, *rows, header=header)
    (line,) = told(data)
    assert line == (
        "group 'g0' is on both sides of the split: the validation score will be too good. group 'g1' is on both sides "
        "of the split: the validation score will be too good. group 'g2' is on both sides of the split: the validation "
        "score will be too good. Change 'is_valid', or drop that column to have whole groups drawn."
    )
    assert told(labels(tmp_path, *rows, header=header, train_on_valid=True)) == []
    groups = [problem for problem in check(labels(tmp_path, *rows, header=header), 0, 0) if problem.kind == "group"]
    assert len(groups) == 3
    data = labels(tmp_path, *rows, header=header, splitter=lambda table: (range(5), range(5, 8)))
    assert told(data)[0].endswith("Let the splitter keep groups whole.")


def test_few_labels_are_told_where_something_trains(tmp_path):
    data = labels(tmp_path)
    with pytest.warns(LightningTasksWarning, match="label 'cat' has 3 training images. label 'dog' has 3 training"):
        data.setup("fit")
    assert told(labels(tmp_path), "validate") == []


@pytest.mark.parametrize("make", [labels, points])
def test_the_test_table_is_asked_too(make, tmp_path):
    data = make(tmp_path, test_csv="test.csv")
    header, cells = ("fname,labels", "cat") if make is labels else ("fname,l_x,l_y,r_x,r_y", "1,2,3,4")
    other = "dog" if make is labels else "4,3,2,1"
    test = tmp_path / "test.csv"
    test.write_text(f"{header}\n6.jpg,{cells}\n./6.jpg,{other}\n")
    with pytest.raises(TableError, match=r"test\.csv: row 3: \./6\.jpg stands in row 2 already, with other cells"):
        data.setup("test")
    with pytest.raises(TableError, match=r"test\.csv: row 3"):
        make(tmp_path, test_csv="test.csv").describe()
    (problem,) = check(make(tmp_path, test_csv="test.csv"), min_positives=0, max_distance=0)
    assert (problem.kind, problem.row) == ("duplicate", None)  # of no row that could be left out of the other table

    test.write_text(f"{header}\n7.jpg,{cells}\n./2.jpg,{cells}\n3.jpg,{cells}\n")
    data = make(tmp_path, test_csv="test.csv")
    (line,) = told(data, "test")
    assert "test.csv: row 3, column 'fname': ./2.jpg: 2 of the 3 rows are of images that" in line
    kinds = [problem.kind for problem in check(make(tmp_path, test_csv="test.csv"), 0, 0)]
    assert kinds == ["test"]
    (tmp_path / data.csv.name).write_text("no table")  # a checkpoint is tested without it
    known = {"vocab": ["cat", "dog"]} if make is labels else {"point_names": ["l", "r"]}
    assert told(type(data)(str(tmp_path), test_csv="test.csv", num_workers=0, size=16, **known), "test") == []


def test_all_missing_images_are_counted_and_the_first_row_is_named(tmp_path):
    header = "fname,labels,is_valid"
    rows = [
        "gone0.jpg,cat,True",
        *(f"gone{i}.jpg,cat,False" for i in range(1, 10)),
        "0.jpg,cat,False",
        "1.jpg,cat,True",
    ]
    data = labels(tmp_path, *rows, header=header, test_csv="test.csv")
    with pytest.raises(DatasetNotFoundError, match=r"row 2, column 'fname': .*gone0\.jpg\. 9 more are missing\. "):
        data.setup("fit")
    with pytest.raises(DatasetNotFoundError, match=r"row 2, column 'fname': there is no image \S*gone0\.jpg\. File"):
        labels(tmp_path, *rows, header=header).setup("validate")  # which trains nothing
    (tmp_path / "test.csv").write_text("fname,labels\n2.jpg,cat\ngone.jpg,cat\nlost.jpg,cat\n")
    with pytest.raises(DatasetNotFoundError, match=r"row 2.*11 more are missing \(9 in labels\.csv, 2 in test\.csv\)"):
        labels(tmp_path, *rows, header=header, test_csv="test.csv").describe()
    with pytest.raises(DatasetNotFoundError, match=r"test\.csv: row 3, .*gone\.jpg\. 1 more is missing\. "):
        data.setup("test")


RARE = [f"{i}.jpg,{'rare' if i == 0 else 'cat'}" for i in range(8)]


@pytest.mark.parametrize("settings", [{}, {"fold": 0, "folds": 4}])
def test_a_rare_label_that_our_own_draw_leaves_out_is_not_the_tables_fault(settings, tmp_path):
    settings = {**settings, "stratify": False}
    made = (labels(tmp_path, *RARE, header="fname,labels", split_seed=seed, **settings) for seed in range(100))
    data = next(data for data in made if 0 in data.split[1])
    with pytest.raises(TableError) as caught:
        data.setup("fit")
    message = str(caught.value)
    assert "row 2, column 'labels': the label 'rare' is not among the 1 labels of the training split" in message
    assert ("fold 0 of 4 was drawn" if "fold" in settings else "the split was drawn") in message
    assert """--data.vocab '["cat", "rare"]'""" in message
    assert "another --data.split_seed" in message
    assert "is_valid" in message
    seed = data.split_seed
    kept = labels(tmp_path, *RARE, header="fname,labels", split_seed=seed, vocab=["cat", "rare"], **settings)
    kept.setup("fit")
    assert kept.valid_set.targets.sum(0).tolist() == [len(kept.split[1]) - 1, 1]


@pytest.mark.parametrize("settings", [{}, *({"fold": fold, "folds": 4} for fold in range(4))])
def test_a_rare_label_is_trained_on_whatever_is_drawn(settings, tmp_path):
    for seed in range(10):
        data = labels(tmp_path, *RARE, header="fname,labels", split_seed=seed, **settings)
        data.setup("fit")
        assert data.vocab == ["cat", "rare"]


def test_labels_that_are_difficult_everywhere_are_trained_on_too(tmp_path):
    """They count nowhere, but the vocabulary is read off the training split."""
    rows = [f"{i}.jpg,cat{' hard' * (i < 2)},{'hard' if i < 2 else 'cat' if i < 6 else ''}" for i in range(8)]
    for seed in range(10):
        data = labels(tmp_path, *rows, header="fname,labels,difficult", split_seed=seed, valid_fraction=0.5)
        assert data.vocab == ["cat", "hard"]
        assert {len(np.intersect1d(rows, [0, 1])) for rows in data.split} == {1}
        assert {len(np.intersect1d(rows, [0, 1, 6, 7])) for rows in data.split} == {2}  # where `cat` counts


def test_where_the_user_chose_the_split_he_may_move_the_row(tmp_path):
    way_out = r"Correct it, put an image with it into the training split, or .*--data\.vocab '\[\"cow\", \"dog\"\]'"
    for splitter in (None, lambda table: ([0], [1])):
        rows = ("0.jpg,dog,False", "1.jpg,cow,True")
        data = labels(tmp_path, *rows, header="fname,labels,is_valid", splitter=splitter)
        with pytest.raises(TableError, match=way_out) as caught:
            data.setup("fit")
        assert "split_seed" not in str(caught.value)
    with pytest.raises(TableError, match=r"'dgo' is not among the 1 labels of the vocabulary.*add it to data\.vocab"):
        labels(tmp_path, "1.jpg,dog", "2.jpg,dog", "3.jpg,dgo", header="fname,labels", vocab=["dog"]).setup("fit")


def test_a_draw_without_any_label_says_so(tmp_path):
    rows = ["0.jpg,cat", *(f"{i}.jpg," for i in range(1, 8))]
    made = (labels(tmp_path, *rows, header="fname,labels", split_seed=seed, stratify=False) for seed in range(100))
    with pytest.raises(ConfigError, match=r"the split was drawn and left them out: take another --data\.split_seed"):
        _ = next(data for data in made if 0 in data.split[1]).vocab


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        ("fname,labels,is_valid", ["0.jpg,cat,True", "1.jpg,cat,True"], r"left for training\. Mark some rows"),
        ("fname,labels,group", ["0.jpg,cat,a", "1.jpg,cat,a"], r"left for validation\. There is only one group"),
        ("fname,labels", ["0.jpg,cat", "0.jpg,cat"], r"left for validation\. There is only one image"),
    ],
)
def test_an_empty_side_is_told_by_what_decided(header, rows, message, tmp_path):
    with pytest.raises(TableError, match=message):
        labels(tmp_path, *rows, header=header).setup("fit")
