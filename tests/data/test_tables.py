import contextlib
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import MultiLabelBinarizer

from lightning_tasks.data.tables.file_checks import Confines, locate, require_files
from lightning_tasks.errors import ConfigError, DatasetNotFoundError, LightningTasksError, TableError
from lightning_tasks.tasks.keypoints.table import point_names, point_positions, read_keypoint_table
from lightning_tasks.tasks.multilabel.table import (
    build_vocab,
    checked_vocab,
    encode_labels,
    read_multilabel_table,
)


def write(tmp_path, text):
    path = tmp_path / "t.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_labels_are_split_and_an_empty_cell_means_none(tmp_path):
    table = read_multilabel_table(
        write(tmp_path, "fname,labels,is_valid\na.jpg,cat dog,True\nb.jpg,,0\nc.jpg,dog,no\n")
    )
    assert table["labels"].tolist() == [("cat", "dog"), (), ("dog",)]
    assert table["is_valid"].tolist() == [True, False, False]


def test_a_chosen_separator_lets_labels_have_spaces(tmp_path):
    table = read_multilabel_table(write(tmp_path, "fname,labels\na.jpg,potted plant; tv;\n"), label_separator=";")
    assert table["labels"].tolist() == [("potted plant", "tv")]


def test_a_byte_order_mark_and_windows_line_ends_do_not_matter(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xef\xbb\xbffname,labels\r\na.jpg,cat\r\n")
    assert read_multilabel_table(path)["labels"].tolist() == [("cat",)]


def test_an_empty_separator_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="label_separator"):
        read_multilabel_table(write(tmp_path, "fname,labels\na.jpg,cat\n"), label_separator="")


@pytest.mark.parametrize("word", ["nan", "NaN", "None", "null", "N/A", "NA", "-", "<NA>", "#N/A", "?", "undefined"])
@pytest.mark.parametrize("column", ["labels", "difficult"])
def test_words_that_stand_for_nothing_are_labels_only_where_somebody_says_so(tmp_path, word, column):
    rows = {"labels": f"a.jpg,cat,\nb.jpg,{word},cat\n", "difficult": f"a.jpg,cat,\nb.jpg,cat,{word}\n"}
    path = write(tmp_path, "fname,labels,difficult\n" + rows[column])
    with pytest.raises(
        TableError, match=rf"row 3, column '{column}': '{re.escape(word)}' stands for nothing. Empty the cell"
    ):
        read_multilabel_table(path)
    assert read_multilabel_table(path, vocab=["cat", word])[column].tolist()[1] == (word,)
    path.write_text(f"fname,labels\na.jpg,No Finding\nb.jpg,cat;{word}\n")
    with pytest.raises(TableError, match="row 3"):
        read_multilabel_table(path, label_separator=";")


def test_text_that_looks_alike_is_alike(tmp_path):
    path = write(tmp_path, "fname,labels,difficult,group\n1.jpg,cafe\u0301,,u\u0308\n2.jpg,caf\u00e9,,\u00fc\n")
    table = read_multilabel_table(path)
    assert build_vocab(table["labels"]) == checked_vocab(["cafe\u0301"]) == ["caf\u00e9"]
    assert table["group"].nunique() == 1
    path = write(tmp_path, "fname,e\u0301_x,e\u0301_y\n1.jpg,1,2\n")
    assert point_names(read_keypoint_table(path)) == ["\u00e9"]


@pytest.mark.parametrize(("vocab", "what"), [(["a", "b", "a"], "'a' stands twice"), (["a", " "], "empty")])
def test_a_vocabulary_names_each_label_once(vocab, what):
    with pytest.raises(ConfigError, match=what):
        checked_vocab(vocab)


def test_a_list_that_is_none_is_named_with_its_row(tmp_path):
    path = write(tmp_path, "fname,labels\na.jpg,\"['a', 'b']\"\nb.jpg,['a\n")
    with pytest.raises(TableError, match=r"row 3, column 'labels': .* starts like a list"):
        read_multilabel_table(path)
    path = write(tmp_path, "fname,labels,difficult\na.jpg,\"['a', 'b c']\",[]\n")
    assert read_multilabel_table(path)["labels"].tolist() == [("a", "b c")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", ["", "\n", "\n\n", "\n,,", "\n  \n", "\n,,\n,,\n"])
def test_what_programs_write_is_read_alike(tmp_path, encoding, delimiter, end, last):
    path = tmp_path / "t.csv"
    text = f"fname,labels,is_valid\ncaf\u00e9.jpg,cat dog,1.0\nb.jpg,,0.0{last}"
    path.write_bytes(text.replace(",", delimiter).replace("\n", end).encode(encoding))
    table = read_multilabel_table(path)
    assert table["fname"].tolist() == ["caf\u00e9.jpg", "b.jpg"]
    assert table["labels"].tolist() == [("cat", "dog"), ()]
    assert table["is_valid"].tolist() == [True, False]


def test_utf_16_of_either_order_is_read(tmp_path):
    for mark, encoding in (
        (b"\xff\xfe", "utf-16-le"),
        (b"\xfe\xff", "utf-16-be"),
        (b"", "utf-16-le"),
        (b"", "utf-16-be"),
    ):
        path = tmp_path / "t.csv"
        path.write_bytes(mark + "fname,labels\na.jpg,cat\n".encode(encoding))
        assert read_multilabel_table(path)["labels"].tolist() == [("cat",)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fname,labels\na.jpg,cat\nb.jpg,do\0g\n", "row 3: there are zero bytes in it"),
        ("filename,labels\na.jpg,cat\n", "no column 'fname'; .* Rename 'filename' to it"),
        ("fname,tags\na.jpg,cat\n", "no column 'labels'; .* Rename 'tags' to it"),
        ("\n,,\n", "the table is empty"),
        ("\nfname,labels\na.jpg,cat\n", "row 1: no column 'fname'"),
        ("sep=;\nfname;labels\na.jpg;cat\n", "row 1: no column 'fname'; .* Take this line out"),
    ],
)
def test_a_table_that_is_nearly_one_is_told_what_to_change(tmp_path, text, message):
    with pytest.raises(TableError, match=message):
        read_multilabel_table(write(tmp_path, text))


@pytest.mark.parametrize("truth", ["True", "1", "1.0", "yes", "T", "y"])
@pytest.mark.parametrize("lie", ["FALSE", "0", "0.0", "no", "f", "N"])
def test_truth_has_many_words(tmp_path, truth, lie):
    path = write(tmp_path, f"fname,labels,is_valid\na.jpg,,{truth}\nb.jpg,,{lie}\n")
    assert read_multilabel_table(path)["is_valid"].tolist() == [True, False]


@pytest.mark.parametrize("nothing", ["", " ", "nan", "NaN", "NA", "null", "None", "N/A", "-"])
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_a_point_that_is_not_there_has_many_words(tmp_path, nothing, delimiter):
    text = f"fname,a_x,a_y\n1.jpg,{nothing},{nothing}\n2.jpg,1.5,2\n"
    table = read_keypoint_table(write(tmp_path, text.replace(",", delimiter)))
    np.testing.assert_array_equal(point_positions(table), [[[np.nan, np.nan]], [[1.5, 2]]])


def test_a_comma_is_a_decimal_point_where_others_separate(tmp_path):
    table = read_keypoint_table(write(tmp_path, "fname;a_x;a_y\n1.jpg;12,5;-,5\n2.jpg;1,25e2;3\n3.jpg;nan;nan\n"))
    assert point_positions(table)[:2].tolist() == [[[12.5, -0.5]], [[125.0, 3.0]]]
    for text in ('fname,a_x,a_y\n1.jpg,"1,234",2\n', "fname;a_x;a_y\n1.jpg;1.234,5;2\n"):
        with pytest.raises(TableError, match=r"row 2, column 'a_x': '1.*,.*' is not a number"):
            read_keypoint_table(write(tmp_path, text))


def test_the_delimiter_is_the_one_that_sets_fname_apart(tmp_path):
    path = write(tmp_path, "fname;labels;note, if any\na.jpg;cat dog;x\n")
    assert read_multilabel_table(path)["labels"].tolist() == [("cat", "dog")]
    path = write(tmp_path, '"note; if any",fname,labels\nx,a.jpg,cat\n')
    assert read_multilabel_table(path)["fname"].tolist() == ["a.jpg"]


@given(st.lists(st.sets(st.sampled_from("abcdefg"), max_size=4), min_size=1, max_size=20))
def test_targets_equal_scikit_learns(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("t") / "t.csv"
    lines = [f"{i}.jpg,{' '.join(sorted(row))}" for i, row in enumerate(rows)]
    path.write_text("\n".join(["fname,labels", *lines]) + "\n")
    table = read_multilabel_table(path)
    vocab = build_vocab(table["labels"])
    targets = encode_labels(table, np.arange(len(rows)), vocab, path, difficult=-1)
    oracle = MultiLabelBinarizer().fit(rows)
    assert vocab == list(oracle.classes_)
    np.testing.assert_array_equal(targets, oracle.transform(rows))


def test_points_keep_their_order_and_empty_cells_become_nan(tmp_path):
    path = write(tmp_path, "fname,group,b_x,b_y,a_x,a_y\n0.jpg,g,1,2.5,,\n1.jpg,h,3,4,-5,6e1\n")
    table = read_keypoint_table(path)
    assert point_names(table) == ["b", "a"]
    nan = np.nan
    np.testing.assert_array_equal(point_positions(table), [[[1, 2.5], [nan, nan]], [[3, 4], [-5, 60]]])


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("name,labels\na.jpg,cat\n", ["row 1", "'fname'", "'name'"]),
        ("fname,labels\n", ["no rows"]),
        ("", ["row 1", "'fname'"]),
        ("fname,labels\na.jpg,cat,dog\n", ["row 2", "3 cells under 2 columns", "quotes"]),
        ("fname,labels\na.jpg,cat\nb.jpg\n", ["row 3", "1 cells under 2 columns"]),
        ("fname,labels, fname\na.jpg,cat,b\n", ["row 1", "two columns", "'fname'"]),
        ('fname,labels\na.jpg,"cat\n', ["not a csv"]),
        ("fname,labels\na.jpg,cat\n,dog\n", ["row 3", "'fname'", "empty"]),
        ("fname,labels\na.jpg,cat\n\nb.jpg,dog\n", ["row 3", "0 cells", "empty row"]),
        ("fname,labels\na.jpg,cat cat\n", ["row 2", "'labels'", "'cat'", "twice"]),
        ("fname,labels,is_valid\na.jpg,cat,True\nb.jpg,cat,maybe\n", ["row 3", "'is_valid'", "'maybe'"]),
        ("fname,labels,group\na.jpg,cat,\n", ["row 2", "'group'", "empty"]),
        ("fname,labels,group\na.jpg,cat,g\nb.jpg,cat,nan\n", ["row 3", "'group'", "'nan' names nothing"]),
        ("fname,labels\na.jpg,cat\n,\nb.jpg,dog\n", ["row 3", "'fname'", "empty"]),
    ],
)
def test_multilabel_complaints_name_row_and_column(tmp_path, text, parts):
    path = write(tmp_path, text)
    with pytest.raises(TableError) as caught:
        read_multilabel_table(path)
    assert all(part in str(caught.value) for part in [str(path), *parts]), caught.value


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("fname,x\na.jpg,1\n", ["no points", "head_x"]),
        ("fname,p_x\na.jpg,1\n", ["'p'", "'p_y'"]),
        ("fname,p_x,p_y\na.jpg,1,2\nb.jpg,1,abc\n", ["row 3", "'p_y'", "'abc'", "not a number"]),
        ("fname,p_x,p_y\na.jpg,inf,2\n", ["row 2", "'p_x'", "'inf'"]),
        ("fname,p_x,p_y\na.jpg,nan,2\n", ["row 2", "p_x/p_y", "only one"]),
        ("fname,p_x,p_y\na.jpg,1,-1e9\n", ["row 2", "'p_y'", "'-1e9'"]),
        ("fname,p_x,p_y\na.jpg,,2\n", ["row 2", "p_x/p_y", "only one"]),
    ],
)
def test_keypoint_complaints_name_row_and_column(tmp_path, text, parts):
    with pytest.raises(TableError) as caught:
        read_keypoint_table(write(tmp_path, text))
    assert all(part in str(caught.value) for part in parts), caught.value


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"fname,labels\n\xff\xfe.jpg,cat\n")
    with pytest.raises(TableError, match="UTF-8"):
        read_multilabel_table(path)


def test_a_label_outside_the_vocabulary_is_named_with_its_row(tmp_path):
    path = write(tmp_path, "fname,labels\na.jpg,cat\nb.jpg,catt\n")
    with pytest.raises(TableError, match=r"row 3, column 'labels': the label 'catt'.*Did you mean 'cat'"):
        encode_labels(read_multilabel_table(path), np.array([0, 1]), ["cat", "dog"], path, difficult=-1)


def test_missing_images_are_counted_and_the_first_is_named(tmp_path):
    path = write(tmp_path, "fname,labels\na.jpg,cat\nb.jpg,cat\nc.jpg,cat\n")
    (tmp_path / "a.jpg").touch()
    located = locate(read_multilabel_table(path), path, tmp_path, Confines(tmp_path))
    with pytest.raises(DatasetNotFoundError, match=r"row 3, column 'fname'.*b\.jpg.*1 more"):
        require_files([(located, np.arange(3))])


def test_a_missing_table_is_not_found(tmp_path):
    with pytest.raises(DatasetNotFoundError, match=r"none\.csv"):
        read_multilabel_table(tmp_path / "none.csv")


@given(st.text(max_size=200))
def test_any_text_is_a_table_or_a_complaint_of_ours(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("t") / "t.csv"
    path.write_text("fname,labels,p_x,p_y\n" + text, encoding="utf-8", errors="surrogatepass")
    for read in (read_multilabel_table, read_keypoint_table):
        with contextlib.suppress(LightningTasksError):
            assert len(read(path))


def test_difficult_labels_are_ignored_or_negative(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("fname,labels,difficult\na.jpg,cat dog,dog\nb.jpg,dog,cat\nc.jpg,,\n")
    table = read_multilabel_table(path)
    assert table["difficult"].tolist() == [("dog",), ("cat",), ()]
    for value in (-1.0, 0.0):
        targets = encode_labels(table, np.arange(3), ["cat", "dog"], path, difficult=value)
        assert targets.tolist() == [[1, value], [value, 1], [0, 0]]
    path.write_text("fname,labels,difficult\na.jpg,cat,\nb.jpg,cat,dgo\n")
    with pytest.raises(TableError, match=r"row 3, column 'difficult': the label 'dgo' is not among the 2 labels"):
        encode_labels(read_multilabel_table(path), np.arange(2), ["cat", "dog"], path, difficult=-1)
