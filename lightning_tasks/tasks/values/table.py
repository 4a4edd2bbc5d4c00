"""The table of images with numbers."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightning_tasks.data.tables.cells import as_number, stands_for_nothing
from lightning_tasks.data.tables.csv_table import (
    OnError,
    cell_at,
    delimiter_of,
    near_column,
    quote,
    raise_error,
    read_csv,
)
from lightning_tasks.data.tables.splits import check_split
from lightning_tasks.data.tables.table_checks import ROW_COLUMNS, TaskColumns
from lightning_tasks.errors import TableError

_LARGEST = 1e18  # in float32, squares of what is larger have no room
_POSITION = re.compile(r"[_. -][xyXY]$|[a-z0-9][XY]$|^[xyXY][_. -]")  # nose_x, noseX, x_nose
_MOSTLY = 0.5  # a column with a larger share of numbers is meant as one of numbers


def read_value_table(path: Path, targets: Sequence[str] | None = None, on_error: OnError = raise_error) -> pd.DataFrame:
    """Read `fname[,group][,is_valid][,split],<name>,...`, a number in each cell below a name.

    Args:
        path: the csv file.
        targets: the columns of numbers; None: all whose cells are numbers.
        on_error: what is done about a row that cannot be used.

    Returns:
        A frame with the columns of every task, and the targets as float64, NaN where a cell is empty or says `nan` or
        the like; the file's other columns are of str.

    Raises:
        DatasetNotFoundError: there is no such file.
        TableError: the file is no csv, lacks a column, or a cell cannot be used.
    """
    table = read_csv(path, ["fname"], on_error)
    if "split" in table.columns:
        check_split(path, table, on_error)
    decimal_comma = delimiter_of(path) != ","
    if targets is not None:
        _require_columns(path, table, targets)
    for name in _numeric_columns(table, decimal_comma) if targets is None else targets:
        table[name] = _parse_numbers(path, name, table[name], decimal_comma, on_error)
    if not target_columns(table):
        raise TableError(
            f"{path}: no column of numbers; it has {quote(table.columns)}. Add one for each number that the model is "
            "to predict, such as `age`."
        )
    return table.copy()  # in one piece: each column of numbers was put in alone, which pandas warns of


def target_columns(table: pd.DataFrame) -> list[str]:
    """Return the names of the numbers of a table that `read_value_table` read, in the file's order."""
    return [str(name) for name in table.columns if table[name].dtype == np.float64]


def target_values(table: pd.DataFrame, names: Sequence[str]) -> NDArray[np.float64]:
    """Return the numbers (N, T), NaN where unknown."""
    return table[list(names)].to_numpy(dtype=np.float64)


def value_columns(table: pd.DataFrame) -> TaskColumns:
    """Return which columns of a table that `read_value_table` read are used."""
    return TaskColumns(target_columns(table))


def is_taken(name: str) -> bool:
    """Return whether a column is called like one of labels or of positions, and is so none of numbers."""
    return near_column("labels", [name]) is not None or _POSITION.search(name) is not None


def _require_columns(path: Path, table: pd.DataFrame, targets: Sequence[str]) -> None:
    for name in targets:
        if name in ROW_COLUMNS:
            raise TableError(f"{path}: data.targets names {name!r}, which says something of the row. Leave it out.")
        if name not in table.columns:
            near = near_column(name, map(str, table.columns))
            way_out = f"it has {quote(table.columns)}." if near is None else f"Is it {near!r}?"
            raise TableError(f"{path}: row 1: data.targets names the column {name!r}; {way_out}")


def _numeric_columns(table: pd.DataFrame, decimal_comma: bool) -> list[str]:
    """Return the columns most of whose filled cells are numbers."""
    names = []
    for name in table.columns:
        if name in ROW_COLUMNS or not name:  # pandas writes its index without a name
            continue
        filled = [cell for cell in table[name] if not _is_empty(cell)]
        numbers = sum(as_number(cell, decimal_comma) is not None for cell in filled)
        if filled and numbers > _MOSTLY * len(filled):
            names.append(str(name))
    return names


def _is_empty(cell: str) -> bool:
    return not cell.strip() or stands_for_nothing(cell)


def _parse_numbers(
    path: Path, column: str, cells: "pd.Series[str]", decimal_comma: bool, on_error: OnError
) -> NDArray[np.float64]:
    values = np.full(len(cells), np.nan)
    for row, cell in enumerate(cells):
        if _is_empty(cell):
            continue
        number = as_number(cell, decimal_comma)
        if number is None or not abs(number) < _LARGEST:  # NaN is not
            message = (
                f"{cell_at(path, row, column)}: {cell!r} is not a number. Write one, or leave the cell empty where it "
                "is not known; or name the columns of numbers with --data.targets."
            )
            on_error(row, TableError(message))
        else:
            values[row] = number
    return values
