"""The table of images with points."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightning_tasks.data.cells import as_number, stands_for_nothing
from lightning_tasks.data.tables import Complain, cell_at, delimiter_of, quoted, raise_at_once, read_csv
from lightning_tasks.errors import TableError


def read_keypoint_table(path: Path, complain: Complain = raise_at_once) -> pd.DataFrame:
    """Read `fname[,group][,is_valid],<point>_x,<point>_y,...`, positions in pixels.

    The centre of the top-left pixel is (0, 0).

    Args:
        path: the csv file.
        complain: what is done about a row that cannot be used.

    Returns:
        A frame like `read_multilabel_table`'s with the float columns `<point>_x`, `<point>_y`, in the file's order;
        NaN where a cell is empty, or says `nan` or the like (not annotated).

    Raises:
        DatasetNotFoundError: there is no such file.
        TableError: the file is no csv, lacks a column, or a cell cannot be used.
    """
    table = read_csv(path, ["fname"], complain)
    names = point_names(table)
    if not names:
        raise TableError(
            f"{path}: no points. It needs two columns for each point, <point>_x and <point>_y (head_x,head_y, say); "
            f"it has {quoted(table.columns)}."
        )
    decimal_comma = delimiter_of(path) != ","
    for name in names:
        for column in (f"{name}_x", f"{name}_y"):
            if column not in table.columns:
                raise TableError(f"{path}: the point {name!r} has no column {column!r}. Add it, or drop the other one.")
            table[column] = _numbers(path, column, table[column], decimal_comma, complain)
        half = table[f"{name}_x"].isna() ^ table[f"{name}_y"].isna()
        for row in np.flatnonzero(half):
            where = cell_at(path, int(row), f"{name}_x/{name}_y")
            message = "only one of the two is filled. Fill both, or leave both empty for a point that is not annotated."
            complain(int(row), TableError(f"{where}: {message}"))
    return table


def point_names(table: pd.DataFrame) -> list[str]:
    """Return the points' names in the order of their columns."""
    return list(dict.fromkeys(str(c)[:-2] for c in table.columns if str(c).endswith(("_x", "_y")) and len(str(c)) > 2))


def point_positions(table: pd.DataFrame) -> NDArray[np.float32]:
    """Return the positions as (N, P, 2) float32 pixels, NaN where not annotated."""
    columns = [f"{name}_{axis}" for name in point_names(table) for axis in "xy"]
    return table[columns].to_numpy(dtype=np.float32).reshape(len(table), -1, 2)


def _numbers(
    path: Path, column: str, cells: "pd.Series[str]", decimal_comma: bool, complain: Complain
) -> NDArray[np.float64]:
    values = np.full(len(cells), np.nan)
    for row, cell in enumerate(cells):
        if not cell.strip() or stands_for_nothing(cell):
            continue
        number = as_number(cell, decimal_comma)
        if number is None or not np.isfinite(number):
            where = cell_at(path, row, column)
            message = "Write the position in pixels, or leave the cell empty for a point that is not annotated."
            complain(row, TableError(f"{where}: {cell!r} is not a number. {message}"))
        else:
            values[row] = number
    return values
