"""The table of images with points."""

import difflib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightning_tasks.data.tables.cells import as_number, stands_for_nothing
from lightning_tasks.data.tables.csv_table import (
    OnError,
    cell_at,
    delimiter_of,
    plain_name,
    quote,
    raise_error,
    read_csv,
)
from lightning_tasks.data.tables.point_columns import VISIBILITY, VISIBILITY_SUFFIXES, coordinate_column
from lightning_tasks.data.tables.splits import check_split
from lightning_tasks.data.tables.table_checks import TaskColumns
from lightning_tasks.errors import TableError

_FURTHEST_PX = 1e9  # of what is further away, the scores in float32 have no square


def read_keypoint_table(path: Path, on_error: OnError = raise_error) -> pd.DataFrame:
    """Read `fname[,group][,is_valid][,split],<point>_x,<point>_y[,<point>_v],...`, positions in pixels.

    The centre of the top-left pixel is (0, 0). `<point>_v`, also `_visible` or `_visibility`, is COCO's: 0, the point
    is not annotated, whatever its position says; 1 or 2, it is.

    In what is returned these are floats, in the file's order; NaN where a cell is empty or says `nan` or the like, or
    the point is not visible (not annotated). `on_error`: what is done about a row that cannot be used.

    Raises:
        DatasetNotFoundError: there is no such file.
        TableError: the file is no csv, lacks a column, or a cell cannot be used.
    """
    table = read_csv(path, ["fname"], on_error)
    if "split" in table.columns:
        check_split(path, table, on_error)
    names = point_names(table)
    if not names:
        meant = {str(column): coordinate_column(str(column)) for column in table.columns}
        renamed = ", ".join(f"{column!r} to {name!r}" for column, name in meant.items() if name is not None)
        way_out = f" Rename {renamed}, or let `lightning-tasks init {path}` do so."
        raise TableError(
            f"{path}: no points. It needs two columns for each point, <point>_x and <point>_y (head_x,head_y, say); "
            f"it has {quote(table.columns)}.{way_out * bool(renamed)}"
        )
    decimal_comma = delimiter_of(path) != ","
    for name in names:
        for column in (f"{name}_x", f"{name}_y"):
            if column not in table.columns:
                other = next((str(name) for name in table.columns if coordinate_column(str(name)) == column), None)
                way_out = "Add it, or drop the other one." if other is None else f"Rename {other!r} to it."
                raise TableError(f"{path}: the point {name!r} has no column {column!r}. {way_out}")
            table[column] = _numbers(path, column, table[column], decimal_comma, on_error)
        _hide(path, table, name, on_error)
        half = table[f"{name}_x"].isna() ^ table[f"{name}_y"].isna()
        for row in np.flatnonzero(half):
            where = cell_at(path, int(row), f"{name}_x/{name}_y")
            message = "only one of the two is filled. Fill both, or leave both empty for a point that is not annotated."
            on_error(int(row), TableError(f"{where}: {message}"))
    return table.copy()  # in one piece: each column of numbers was put in alone, which pandas warns of


def point_names(table: pd.DataFrame) -> list[str]:
    """Return the points' names in the order of their columns."""
    return list(dict.fromkeys(str(c)[:-2] for c in table.columns if str(c).endswith(("_x", "_y")) and len(str(c)) > 2))


def position_columns(names: Sequence[str]) -> list[str]:
    """Return the columns of points, in every table: each one's x and y."""
    return [f"{name}_{axis}" for name in names for axis in "xy"]


def point_columns(table: pd.DataFrame) -> TaskColumns:
    """Return which columns of a table are read."""
    points = point_names(table)
    visibility = [f"{name}{suffix}" for name in points for suffix in VISIBILITY_SUFFIXES]
    return TaskColumns(position_columns(points), visibility, partial(_column_meant_by, points=points))


def _column_meant_by(column: str, points: Sequence[str]) -> str | None:
    """Return which column of these points another is nearly called like, if any."""
    for name in sorted(points, key=len, reverse=True):
        ending = plain_name(column).removeprefix(plain_name(name))
        if ending != plain_name(column):
            suffixes = {plain_name(suffix): suffix for suffix in VISIBILITY_SUFFIXES}
            close = difflib.get_close_matches(ending, suffixes, n=1)
            if close:
                return f"{name}{suffixes[close[0]]}"
    return coordinate_column(column)


def point_positions(table: pd.DataFrame) -> NDArray[np.float32]:
    """Return the positions as (N, P, 2) float32 pixels, NaN where not annotated."""
    return table[position_columns(point_names(table))].to_numpy(dtype=np.float32).reshape(len(table), -1, 2)


def _hide(path: Path, table: pd.DataFrame, name: str, on_error: OnError) -> None:
    """Take the position from a point where the table says that it is not visible, in place."""
    for column in (f"{name}{ending}" for ending in VISIBILITY_SUFFIXES):
        if column not in table.columns:
            continue
        said = table[column].str.strip().str.lower()
        seen = said.mask(said.map(stands_for_nothing), "").map(VISIBILITY)
        for row in np.flatnonzero(seen.isna()):
            message = f"{table[column].iloc[row]!r} is not 0 (not annotated), 1 or 2 (annotated). Write one of them."
            on_error(int(row), TableError(f"{cell_at(path, int(row), column)}: {message}"))
        position = table[[f"{name}_x", f"{name}_y"]]
        for row in np.flatnonzero((seen == 1) & position.isna().all(axis=1)):
            message = f"{table[column].iloc[row]!r} says that the point is annotated, but it has no position. Write 0."
            on_error(int(row), TableError(f"{cell_at(path, int(row), column)}: {message}"))
        table.loc[seen == 0, list(position.columns)] = np.nan


def _numbers(
    path: Path, column: str, cells: "pd.Series[str]", decimal_comma: bool, on_error: OnError
) -> NDArray[np.float64]:
    values = np.full(len(cells), np.nan)
    for row, cell in enumerate(cells):
        if not cell.strip() or stands_for_nothing(cell):
            continue
        number = as_number(cell, decimal_comma)
        if number is None or not abs(number) < _FURTHEST_PX:  # NaN is not
            where = cell_at(path, row, column)
            message = "Write the position in pixels, or leave the cell empty for a point that is not annotated."
            on_error(row, TableError(f"{where}: {cell!r} is not a number. {message}"))
        else:
            values[row] = number
    return values
