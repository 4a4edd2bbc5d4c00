import numpy as np
import pytest

from lightning_tasks.errors import TableError
from lightning_tasks.tasks.values.table import read_value_table, target_columns, target_values


def written(tmp_path, text):
    path = tmp_path / "values.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_column_of_numbers_is_a_target_and_no_other(tmp_path):
    path = written(
        tmp_path, "fname,group,is_valid,age,note,weight,empty\na.jpg,p,True,31,old,1e3,\nb.jpg,q,0,,2,NaN,\n"
    )
    table = read_value_table(path)
    assert target_columns(table) == ["age", "weight"]  # half of the notes are numbers: not most
    np.testing.assert_array_equal(target_values(table, ["weight", "age"]), [[1000, 31], [np.nan, np.nan]])
    assert table["is_valid"].tolist() == [True, False]


def test_named_targets_alone_are_read(tmp_path):
    path = written(tmp_path, "fname,id,age\na.jpg,1,31\n")
    assert target_columns(read_value_table(path, ["age"])) == ["age"]


def test_a_decimal_comma_where_the_table_has_semicolons(tmp_path):
    path = written(tmp_path, "fname;age\na.jpg;31,5\n")
    assert target_values(read_value_table(path), ["age"]).tolist() == [[31.5]]


@pytest.mark.parametrize(
    ("text", "targets", "told"),
    [
        (
            "fname,age\na.jpg,31\nb.jpg,12\nc.jpg,many\n",
            None,
            r"values\.csv: row 4, column 'age': 'many' is not a number",
        ),
        ("fname,age\na.jpg,inf\nb.jpg,1\n", None, r"row 2, column 'age': 'inf' is not a number"),
        ("fname,age\na.jpg,1e30\n", ["age"], r"row 2, column 'age': '1e30' is not a number"),
        ("fname,age\na.jpg,old\n", None, r"no column of numbers; it has 'fname', 'age'\. Add one"),
        ("fname,age\na.jpg,1\n", ["Age"], r"row 1: data\.targets names the column 'Age'; Is it 'age'\?"),
        ("fname,age\na.jpg,1\n", ["weight"], r"'weight'; it has 'fname', 'age'"),
        ("fname,is_valid,age\na.jpg,1,1\n", ["is_valid"], r"'is_valid', which says something of the row"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path, text, targets, told):
    with pytest.raises(TableError, match=told):
        read_value_table(written(tmp_path, text), targets)
