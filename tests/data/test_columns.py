"""The columns of a table that decide: `split` beside `is_valid`, and those that nobody reads."""

import warnings

import numpy as np
import pytest

from lightning_tasks import KeypointDataModule, MultiLabelDataModule
from lightning_tasks.errors import ConfigError, LightningTasksWarning, TableError
from lightning_tasks.tasks.keypoints.table import read_keypoint_table
from lightning_tasks.tasks.multilabel.table import read_multilabel_table
from tests.fakes import write_multilabel, write_points


def labels(root, words, header="fname,labels,split", end=""):
    lines = [f"{i}.jpg,{'cat' if i % 2 else 'dog'},{word}{end}" for i, word in enumerate(words)]
    write_multilabel(root, [header, *lines], len(words))
    return lambda **options: MultiLabelDataModule(str(root), num_workers=0, size=16, cache="none", **options)


def rows(data):
    return [part.tolist() for part in data.split]


def test_the_column_split_decides_in_whatever_words(tmp_path):
    words = ["train", "Training", " TRAIN ", "val", "Valid", "validation", "test", "Testing"]
    data = labels(tmp_path, words)()
    assert rows(data) == [[0, 1, 2], [3, 4, 5]]
    assert data.table["is_valid"].tolist() == [False] * 3 + [True] * 3 + [False] * 2
    assert "8 images, 3 training, 3 validation, 2 marked test" in data.describe()


def test_without_a_word_for_validation_it_is_drawn_and_rows_for_testing_stay_out(tmp_path):
    make = labels(tmp_path, ["train", "test"] * 5)
    train, valid = rows(make())
    assert sorted(train + valid) == [0, 2, 4, 6, 8]
    assert len(valid) == 1
    folds = [rows(make(fold=fold)) for fold in range(5)]
    assert sorted(row for _, valid in folds for row in valid) == [0, 2, 4, 6, 8]
    assert all(sorted(train + valid) == [0, 2, 4, 6, 8] for train, valid in folds)


def test_folds_leave_out_what_split_marks_for_validation_and_testing(tmp_path):
    data = labels(tmp_path, ["train"] * 4 + ["val", "test"])(fold=1, folds=2)
    assert sorted(np.concatenate(data.split).tolist()) == [0, 1, 2, 3]


def test_of_a_table_with_rows_for_testing_those_alone_are_tested(tmp_path):
    make = labels(tmp_path, ["train"] * 4 + ["val"] * 2 + ["test"] * 2)
    data = make(test_csv="labels.csv")
    data.setup("test")
    assert [path.name for path in data.test_set.paths] == ["6.jpg", "7.jpg"]
    make = labels(tmp_path / "none", ["train"] * 4 + ["val"] * 2)
    data = make(test_csv="labels.csv")
    with pytest.warns(LightningTasksWarning, match=r"no row is marked test in 'split': all 6 are tested"):
        data.setup("test")
    assert len(data.test_set) == 6


@pytest.mark.parametrize("word", ["tset", "", "0", "train val"])
def test_an_unknown_word_in_split_is_told_with_its_row(tmp_path, word):
    labels(tmp_path, ["train", "val", word])
    with pytest.raises(TableError, match=rf"row 4, column 'split': '{word}' is none of train, val and test"):
        read_multilabel_table(tmp_path / "labels.csv")


def test_split_and_is_valid_must_not_contradict_each_other(tmp_path):
    lines = ["a.jpg,cat,train,False", "b.jpg,cat,val,True", "c.jpg,cat,test,False"]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["fname,labels,split,is_valid", *lines]))
    assert read_multilabel_table(path)["is_valid"].tolist() == [False, True, False]
    for cells in ("train,True", "val,False", "test,True"):
        path.write_text("\n".join(["fname,labels,split,is_valid", *lines, f"d.jpg,cat,{cells}"]))
        with pytest.raises(TableError, match=r"row 5, columns 'split' and 'is_valid': .* contradict"):
            read_multilabel_table(path)


def points(root, header, *cells):
    write_points(root, [f"fname,{header}", *(f"{i}.jpg,{row}" for i, row in enumerate(cells))], 0)
    return read_keypoint_table(root / "points.csv")


@pytest.mark.parametrize("name", ["nose_v", "nose_visible", "nose_visibility"])
def test_points_that_are_not_visible_are_not_annotated(tmp_path, name):
    table = points(
        tmp_path, f"nose_x,nose_y,{name}", "0,0,0", "1,2,1", "3,4,2", "5,6,True", "7,8,false", "9,9,", ",,0", "4,,0.0"
    )
    assert table["nose_x"].fillna(-1).tolist() == [-1, 1, 3, 5, -1, 9, -1, -1]
    assert table["nose_y"].isna().tolist() == table["nose_x"].isna().tolist()


def test_visibility_is_of_each_point(tmp_path):
    table = points(tmp_path, "a_x,a_y,a_v,b_x,b_y", "0,0,0,0,0", "1,1,2,2,2")
    assert table[["a_x", "b_x"]].fillna(-1).to_numpy().tolist() == [[-1, 0], [1, 2]]


def test_a_table_of_many_points_is_in_one_piece(tmp_path):
    names = [f"p{i}" for i in range(120)]
    table = points(tmp_path, ",".join(f"{name}_x,{name}_y" for name in names), ",".join(["1,2"] * len(names)))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        table["more"] = 0
    assert told == []  # where it is in pieces, pandas' PerformanceWarning


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ("1,2,3", r"row 3, column 'nose_v': '3' is not 0 \(not annotated\), 1 or 2"),
        ("1,2,maybe", r"row 3, column 'nose_v': 'maybe' is not 0"),
        (",,2", r"row 3, column 'nose_v': '2' says that the point is annotated, but it has no position"),
    ],
)
def test_visibility_that_cannot_be_is_told_with_row_and_column(tmp_path, cells, message):
    with pytest.raises(TableError, match=message):
        points(tmp_path, "nose_x,nose_y,nose_v", "1,2,2", cells)


GOOD = ["0.jpg,cat,a,b", "1.jpg,dog,c,d", "2.jpg,cat,e,f", "3.jpg,dog,g,h"]


@pytest.mark.parametrize(
    ("column", "nearest"),
    [
        *(("isvalid", "is_valid"), ("IsValid", "is_valid"), ("is valid", "is_valid"), ("is_vaild", "is_valid")),
        *(("Validation", "is_valid"), ("Group", "group"), ("groups", "group"), ("subject", "group")),
        *(("Split", "split"), ("subset", "split"), ("Difficult", "difficult"), ("photographer", None)),
    ],
)
def test_columns_that_are_not_used_are_named_with_the_nearest(tmp_path, column, nearest):
    write_multilabel(tmp_path, [f"fname,labels,{column},notes", *GOOD], 4)
    data = MultiLabelDataModule(str(tmp_path), size=16)
    (problem,) = [p for p in data.find_problems(data.table, *data.split) if p.kind == "column"]
    assert f"labels.csv: row 1: nothing reads the columns '{column}' and 'notes'" in problem.message
    assert ("rename" in problem.way_out) == (nearest is not None)
    assert nearest is None or f"'{column}' to '{nearest}'" in problem.way_out
    assert not problem.is_error


def test_columns_that_are_used_are_not_named(tmp_path):
    lines = ["0.jpg,cat,,a,False,train", "1.jpg,dog,,b,True,val", "2.jpg,dog,,c,False,train", "3.jpg,cat,,c,0,train"]
    write_multilabel(tmp_path, ["fname,labels,difficult,group,is_valid,split", *lines], 4)
    data = MultiLabelDataModule(str(tmp_path), size=16)
    assert [p for p in data.find_problems(data.table, *data.split) if p.kind == "column"] == []
    # Nobody means anything by a column without a name: pandas writes its index so, spreadsheets empty columns.
    write_multilabel(
        tmp_path, [",fname,labels,,", *(f"{i},{i}.jpg,{'cat' if i % 2 else 'dog'},," for i in range(4))], 4
    )
    data = MultiLabelDataModule(str(tmp_path), size=16)
    assert [p for p in data.find_problems(data.table, *data.split) if p.kind == "column"] == []
    # What a splitter reads nobody knows; a name that is nearly another is told all the same.
    write_multilabel(tmp_path, ["fname,labels,site,Group", *GOOD], 4)
    data = MultiLabelDataModule(str(tmp_path), size=16, splitter=lambda table: ([0, 1], [2, 3]))
    (problem,) = [p for p in data.find_problems(data.table, *data.split) if p.kind == "column"]
    assert "the column 'Group'" in problem.message


@pytest.mark.parametrize(
    ("columns", "renamed"),
    [
        (["eye_X", "eye_Y"], [("eye_X", "eye_x"), ("eye_Y", "eye_y")]),
        (["eyeX", "eyeY"], [("eyeX", "eye_x"), ("eyeY", "eye_y")]),
        (["eye.x", "x_eye"], [("eye.x", "eye_x"), ("x_eye", "eye_x")]),
        (["nose_V", "nose_vis"], [("nose_V", "nose_v"), ("nose_vis", "nose_visible")]),
        (["nose_z", "category"], []),
        (["eye_v", "labels"], []),
    ],
)
def test_of_points_too(tmp_path, columns, renamed):
    lines = [f"{i}.jpg,5,{6 + i},1,1" for i in range(8)]
    write_points(tmp_path, [f"fname,nose_x,nose_y,{','.join(columns)}", *lines])
    data = KeypointDataModule(str(tmp_path))
    (problem,) = [p for p in data.find_problems(data.table, *data.split) if p.kind == "column"]
    assert "nothing reads the columns '{}' and '{}'".format(*columns) in problem.message
    assert [pair in problem.way_out for pair in (f"'{a}' to '{b}'" for a, b in renamed)] == [True] * len(renamed)
    assert ("rename" in problem.way_out) == bool(renamed)


def test_fit_prepare_and_the_test_table_say_what_is_not_used(tmp_path):
    make = labels(tmp_path, ["train"] * 6 + ["val"] * 2, "fname,labels,split,Group", end=",a")
    for call in (lambda: make().setup("fit"), lambda: make().setup("validate"), lambda: make().describe()):
        with pytest.warns(LightningTasksWarning, match=r"labels\.csv: row 1: nothing reads the column 'Group'"):
            call()
    (tmp_path / "test.csv").write_text("fname,labels,Site\n0.jpg,dog,x\n")
    with pytest.warns(LightningTasksWarning, match=r"test\.csv: row 1: nothing reads the column 'Site'"):
        make(test_csv="test.csv").setup("test")


def test_a_required_column_of_another_spelling_is_named(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("fname,Labels\na.jpg,cat\n")
    with pytest.raises(TableError, match=r"no column 'labels'.* Rename 'Labels' to it"):
        read_multilabel_table(path)
    path.write_text("fname,nose_X,nose_Y\na.jpg,1,2\n")
    with pytest.raises(TableError, match=r"no points.* Rename 'nose_X' to 'nose_x', 'nose_Y' to 'nose_y'"):
        read_keypoint_table(path)
    path.write_text("fname,nose_x,nose_Y\na.jpg,1,2\n")
    with pytest.raises(TableError, match=r"the point 'nose' has no column 'nose_y'\. Rename 'nose_Y' to it"):
        read_keypoint_table(path)


def test_labels_that_are_all_difficult_are_refused_and_one_that_is_has_few(tmp_path):
    lines = ["0.jpg,cat,{},train", "1.jpg,dog,{},train", "2.jpg,cat,,val", "3.jpg,dog,,val"]
    write_multilabel(tmp_path, ["fname,labels,difficult,split", *(line.format("cat dog") for line in lines)], 4)
    with pytest.raises(TableError, match=r"all labels of all 2 rows for training are difficult: none counts"):
        MultiLabelDataModule(str(tmp_path), size=16, cache="none").setup("fit")
    (tmp_path / "labels.csv").write_text("fname,labels,difficult,split\n0.jpg,cat,,train\n1.jpg,,cat,val\n")
    with pytest.warns(LightningTasksWarning, match="all labels of all 1 rows for validation are difficult"):
        MultiLabelDataModule(str(tmp_path), size=16, cache="none").setup("validate")
    data = MultiLabelDataModule(str(tmp_path), size=16, cache="none", difficult="negative")
    assert not any(problem.is_error for problem in data.find_problems(data.table, *data.split))
    write_multilabel(tmp_path, ["fname,labels,difficult,split", *(line.format("cat") for line in lines)], 4)
    data = MultiLabelDataModule(str(tmp_path), size=16, cache="none")
    few = [problem.message for problem in data.find_problems(data.table, *data.split) if problem.kind == "few"]
    assert few == ["label 'cat' has 0 training images", "label 'dog' has 1 training images"]


def test_fit_says_at_its_start_how_many_rows_are_left_out_for_testing(tmp_path):
    make = labels(tmp_path, ["train"] * 4 + ["val", "test", "test"])
    assert make().left_out_note == "2 rows marked test left out"
    with pytest.raises(ConfigError, match="it may be that of training, if its column 'split' marks rows test"):
        make().setup("test")
