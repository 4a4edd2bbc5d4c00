"""From csv files to checked rows. Every complaint about a user's table is made here.

Rows are counted as editors and spreadsheets count them: the header is row 1.
"""

import csv
import difflib
import itertools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightning_tasks.errors import ConfigError, DatasetNotFoundError, TableError
from lightning_tasks.filesystem import is_file, is_folder, why_file_has_no_content, why_missing

# What is done about a row, counted from 0, that cannot be used: to raise the error, or to note it and go on.
Complain = Callable[[int, TableError], None]

_TRUE, _FALSE = {"true", "1", "yes"}, {"false", "0", "no"}
_FIRST_ROW = 2  # the header is row 1


def require_folder(root: Path) -> None:
    """Raise DatasetNotFoundError if there is no folder `root`."""
    if not is_folder(root):
        raise DatasetNotFoundError(
            f"There is no data set in {root}{why_missing(root)} (data.root). "
            "`lightning-tasks prepare --config <the same config>` gets PASCAL, BIWI and the samples; "
            "`--data.root FOLDER` uses data that lies elsewhere."
        )


def raise_at_once(row: int, error: TableError) -> None:
    """Raise the complaint."""
    raise error


def read_multilabel_table(path: Path, label_separator: str = " ", complain: Complain = raise_at_once) -> pd.DataFrame:
    """Read `fname,labels[,difficult][,group][,is_valid]`.

    Args:
        path: the csv file.
        label_separator: stands between labels in a cell, and between difficult ones.
        complain: what is done about a row that cannot be used.

    Returns:
        A frame with `fname` (str), `labels` (tuple of str; empty where the cell is), and where the file has them
        `difficult` (like `labels`), `group` (str) and `is_valid` (bool). Row i of the frame is row i + 2 of the file.

    Raises:
        DatasetNotFoundError: there is no such file.
        TableError: the file is no csv, lacks a column, or a cell cannot be used.
        ConfigError: the separator is empty.
    """
    if not label_separator:
        raise ConfigError("data.label_separator is empty. Name what stands between labels, such as ' ' or ';'.")
    table = _read_csv(path, ["fname", "labels"], complain)
    for column in ("labels", "difficult"):
        if column not in table.columns:
            continue
        labels_of = {cell: _labels(cell, label_separator) for cell in table[column].unique()}
        table[column] = [labels_of[cell] for cell in table[column]]
        for row, labels in enumerate(table[column]):
            if len(set(labels)) != len(labels):
                twice = next(label for label in labels if labels.count(label) > 1)
                where = cell_at(path, row, column)
                complain(row, TableError(f"{where}: the label {twice!r} stands twice. Keep one of them."))
    return table


def require_one_label(table: pd.DataFrame, path: Path) -> None:
    """Raise TableError at the first row that does not have exactly one label, or where labels may be difficult."""
    if "difficult" in table.columns:
        raise TableError(
            f"{path}: row 1: cross-entropy knows no difficult labels. Take the column 'difficult' out, or train with "
            "--model.loss bce."
        )
    for row, labels in enumerate(table["labels"]):
        if len(labels) != 1:
            raise TableError(
                f"{cell_at(path, row, 'labels')}: {len(labels) or 'no'} label{'s' * (len(labels) != 1)}; cross-entropy "
                "wants exactly one a picture. Correct the row, or train with --model.loss bce."
            )


def read_keypoint_table(path: Path, complain: Complain = raise_at_once) -> pd.DataFrame:
    """Read `fname[,group][,is_valid],<point>_x,<point>_y,...`, positions in pixels.

    The centre of the top-left pixel is (0, 0).

    Args:
        path: the csv file.
        complain: what is done about a row that cannot be used.

    Returns:
        A frame like `read_multilabel_table`'s with the float columns `<point>_x`, `<point>_y`, in the file's order;
        NaN where a cell is empty (not annotated).

    Raises:
        DatasetNotFoundError: there is no such file.
        TableError: the file is no csv, lacks a column, or a cell cannot be used.
    """
    table = _read_csv(path, ["fname"], complain)
    names = point_names(table)
    if not names:
        raise TableError(
            f"{path}: no points. It needs two columns for each point, <point>_x and <point>_y (head_x,head_y, say); "
            f"it has {_listed(table.columns)}."
        )
    for name in names:
        for column in (f"{name}_x", f"{name}_y"):
            if column not in table.columns:
                raise TableError(f"{path}: the point {name!r} has no column {column!r}. Add it, or drop the other one.")
            table[column] = _numbers(path, column, table[column], complain)
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


def groups_of(table: pd.DataFrame, rows: NDArray[np.int64]) -> list[str]:
    """Return the groups of `rows`; an empty list where the table has none."""
    return table["group"].iloc[rows].tolist() if "group" in table.columns else []


def build_vocab(labels: Iterable[Sequence[str]]) -> list[str]:
    """Return the union of all labels, sorted."""
    return sorted({label for row in labels for label in row})


def encode_labels(
    table: pd.DataFrame, rows: NDArray[np.int64], vocab: Sequence[str], source: Path, difficult: float
) -> NDArray[np.float32]:
    """Return the labels of `rows` as (len(rows), len(vocab)) float32, 1 where the picture has the label.

    Where a column `difficult` names a label, the cell is `difficult`, whether or not `labels` names it too.

    Raises:
        TableError: a label is not in `vocab`; names the label and its row.
    """
    position = {label: i for i, label in enumerate(vocab)}
    targets = np.zeros((len(rows), len(vocab)), dtype=np.float32)
    columns = {"labels": 1.0, "difficult": difficult}
    for column, value in columns.items():
        if column not in table.columns:
            continue
        cells = table[column].tolist()
        for i, row in enumerate(rows):
            for label in cells[row]:
                if label not in position:
                    close = difflib.get_close_matches(label, vocab, n=1)
                    hint = f" Did you mean {close[0]!r}?" if close else ""
                    raise TableError(
                        f"{cell_at(source, int(row), column)}: the label {label!r} is not among the {len(vocab)} "
                        f"labels of the training split.{hint} Correct it, or put a picture with it into the training "
                        "split."
                    )
                targets[i, position[label]] = value
    return targets


def read_cells(path: Path) -> list[list[str]]:
    """Return a csv file's rows, with the header, as they are; between cells stands a comma, or `;` or a tab.

    The header says which: Excel writes `;` where the comma stands in numbers.

    Raises:
        DatasetNotFoundError: there is no such file.
        TableError: it is no csv file in UTF-8.
    """
    if not is_file(path):
        missing = f"There is no table {path}{why_missing(path)}."
        raise DatasetNotFoundError(f"{missing} Check data.root and the names of its tables.")
    try:
        instead = why_file_has_no_content(path) if path.stat().st_size else None
        if instead is not None:
            raise TableError(f"{path}: not a csv file but {instead}.")
        seen: dict[str, str] = {}  # of cells that are alike one is kept: a table may have a million
        with path.open(encoding="utf-8-sig", newline="") as file:
            delimiter = _delimiter(file.readline())
            file.seek(0)
            rows = csv.reader(file, delimiter=delimiter, strict=True)
            return [[seen.setdefault(cell, cell) for cell in row] for row in rows]
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise TableError(f"{path}: not a csv file in UTF-8 ({error}). Write it again as one.") from error


def _delimiter(header: str) -> str:
    return next((one for one in ",;\t" if one in header), ",")


def _read_csv(path: Path, required: Sequence[str], complain: Complain) -> pd.DataFrame:
    rows = read_cells(path)
    header = [name.strip() for name in rows[0]] if rows else []
    for column in required:
        if column not in header:
            raise TableError(f"{path}: row 1: no column {column!r}; it has {_listed(header)}. Rename one to it.")
    for column in header:
        if header.count(column) > 1:
            raise TableError(f"{path}: row 1: two columns are called {column!r}. Rename one of them.")
    if len(rows) == 1:
        raise TableError(f"{path}: no rows below the header. Add one row for each picture.")
    for row, cells in enumerate(rows[1:]):
        if len(cells) != len(header):
            message = (
                f"{path}: row {row + _FIRST_ROW}: {len(cells)} cells under {len(header)} columns. Take an empty row "
                "out, and put quotes around a cell that has a comma in it."
            )
            complain(row, TableError(message))
    columns = itertools.zip_longest(header, *rows[1:], fillvalue="")
    table = pd.DataFrame({name: cells for name, *cells in itertools.islice(columns, len(header))}, dtype=str)
    for column in ("fname", "group"):
        if column in header:
            _refuse_empty(path, column, table[column], complain)
    if "is_valid" in header:
        table["is_valid"] = _booleans(path, "is_valid", table["is_valid"], complain)
    return table


def _labels(cell: str, separator: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in cell.split(separator) if part.strip())


def _refuse_empty(path: Path, column: str, cells: "pd.Series[str]", complain: Complain) -> None:
    for row in np.flatnonzero(cells.str.strip() == ""):
        where = cell_at(path, int(row), column)
        complain(int(row), TableError(f"{where}: the cell is empty. Fill it, or take the row out."))


def _booleans(path: Path, column: str, cells: "pd.Series[str]", complain: Complain) -> list[bool]:
    values = []
    for row, cell in enumerate(cells):
        word = cell.strip().lower()
        if word not in _TRUE | _FALSE:
            where = cell_at(path, row, column)
            complain(row, TableError(f"{where}: {cell!r} is neither True nor False. Write one of them."))
        values.append(word in _TRUE)
    return values


def _numbers(path: Path, column: str, cells: "pd.Series[str]", complain: Complain) -> NDArray[np.float64]:
    values = np.full(len(cells), np.nan)
    for row, cell in enumerate(cells):
        if not cell.strip():
            continue
        try:
            values[row] = float(cell)
        except ValueError:
            values[row] = np.inf
        if not np.isfinite(values[row]):
            where, values[row] = cell_at(path, row, column), np.nan
            message = "Write the position in pixels, or leave the cell empty for a point that is not annotated."
            complain(row, TableError(f"{where}: {cell!r} is not a number. {message}"))
    return values


def cell_at(path: Path, row: int, column: str) -> str:
    """Return how a cell of a row, counted from 0, is told to a person."""
    return f"{path}: row {row + first_row(path)}, column {column!r}"


def first_row(path: Path) -> int:
    """Return what a person calls a table's first row."""
    return 1 if is_image_set(path) else _FIRST_ROW


def is_image_set(path: Path) -> bool:
    """Return whether a table is one of VOC's lists of pictures, which have no header, and not a csv."""
    return path.suffix == ".txt" and path.parts[-3:-1] == ("ImageSets", "Main")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(str(name)) for name in names)
