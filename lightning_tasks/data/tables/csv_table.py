"""From csv files to checked rows, of any task.

Rows are counted as editors and spreadsheets count them: the header is row 1.
"""

import codecs
import contextlib
import csv
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightning_tasks.data.tables.cells import as_bool, normalize, stands_for_nothing
from lightning_tasks.errors import DatasetNotFoundError, TableError
from lightning_tasks.filesystem import is_file, is_folder, why_file_has_no_content, why_missing

# What is done about a row, counted from 0, that cannot be used: to raise the error, or to note it and continue.
OnError = Callable[[int, TableError], None]

OTHER_NAMES = {  # of columns, in other people's tables
    "fname": ("filename", "file", "image", "image_id", "path", "name"),
    "labels": ("label", "tags", "class"),
}

_DELIMITERS = ",;\t"
_NAMES_LISTED = 6
_FIRST_ROW = 2  # the header is row 1


def require_folder(root: Path) -> None:
    """Raise DatasetNotFoundError if there is no folder `root`."""
    if not is_folder(root):
        raise DatasetNotFoundError(
            f"There is no data set in {root}{why_missing(root)} (data.root). "
            "`lightning-tasks prepare --config <the same config>` gets PASCAL, BIWI and the samples; "
            "`--data.root FOLDER` uses data that lies elsewhere."
        )


def raise_error(row: int, error: TableError) -> None:
    """Raise the complaint."""
    raise error


def groups_of(table: pd.DataFrame, rows: NDArray[np.int64]) -> list[str]:
    """Return the groups of `rows`; an empty list where the table has none."""
    return table["group"].iloc[rows].tolist() if "group" in table.columns else []


def read_cells(path: Path) -> list[list[str]]:
    """Return a csv file's rows, with the header, as they are; between cells stands a comma, or `;` or a tab.

    The header says which: Excel writes `;` where the comma stands in numbers. Empty rows at the end are no rows.

    Raises:
        DatasetNotFoundError: there is no such file.
        TableError: it is no csv file in UTF-8, or in UTF-16 or UTF-32 with the mark that says so.
    """
    seen: dict[str, str] = {}  # of cells that are alike one is kept: a table may have a million
    with _open_csv(path) as (file, delimiter):
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        rows = [[seen.setdefault(cell, cell) for cell in row] for row in reader]
    if any("\0" in cell for cell in seen):
        row = next(row for row, cells in enumerate(rows, start=1) if any("\0" in cell for cell in cells))
        raise TableError(f"{path}: row {row}: there are zero bytes in it, as in no csv file. Write it again as one.")
    while rows and not any(cell.strip() for cell in rows[-1]):
        rows.pop()
    return rows


def delimiter_of(path: Path) -> str:
    """Return what stands between the cells of a csv file; raises as `read_cells` does."""
    with _open_csv(path) as (_, delimiter):
        return delimiter


def encoding_of(path: Path) -> str:
    """Return a text file's encoding by the mark that it begins with; without one, UTF-16 by its zeros, else UTF-8."""
    with path.open("rb") as file:
        start = file.read(4)
    by_zeros = _BY_ZEROS.get(tuple(byte == 0 for byte in start), "utf-8-sig")
    return next((encoding for encoding, marks in _MARKS.items() if start.startswith(marks)), by_zeros)


# Of the first bytes, whether each is zero, where these are letters as in `fname`.
_BY_ZEROS: dict[tuple[bool, ...], str] = {(False, True) * 2: "utf-16-le", (True, False) * 2: "utf-16-be"}
# In this order: UTF-16's mark is the beginning of one of UTF-32's.
_MARKS = {"utf-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE), "utf-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)}


@contextlib.contextmanager
def _open_csv(path: Path) -> Iterator[tuple[TextIO, str]]:
    """Open a csv file at its start, and say what stands between its cells."""
    if not is_file(path):
        missing = f"There is no table {path}{why_missing(path)}."
        raise DatasetNotFoundError(f"{missing} Check data.root and the names of its tables.")
    try:
        instead = why_file_has_no_content(path) if path.stat().st_size else None
        if instead is not None:
            raise TableError(f"{path}: not a csv file but {instead}.")
        with path.open(encoding=encoding_of(path), newline="") as file:
            delimiter = _delimiter(file.readline())
            file.seek(0)
            yield file, delimiter
    except (OSError, csv.Error, UnicodeError) as error:
        raise TableError(f"{path}: not a csv file in UTF-8 ({error}). Write it again as one.") from error


def _delimiter(header: str) -> str:
    """Return the first one that sets the column `fname` apart, or else the first one in the header."""
    found = [delimiter for delimiter in _DELIMITERS if delimiter in header]
    apart = (d for d in found if "fname" in {name.strip(' "\r\n') for name in header.split(d)})
    return next(apart, found[0] if found else ",")


def read_csv(path: Path, required: Sequence[str], on_error: OnError) -> pd.DataFrame:
    """Return a csv file's cells as str, with the columns of every task checked; `is_valid`, if there, as bool.

    Raises:
        DatasetNotFoundError: there is no such file.
        TableError: the file is no csv, lacks a column, or a cell cannot be used.
    """
    rows = read_cells(path)
    if not rows:
        raise TableError(f"{path}: row 1: the table is empty. Write {quote(required)} in it, and a row for each image.")
    header = [normalize(name) for name in rows[0]]
    for column in required:
        if column not in header:
            meant = near_column(column, header)
            way_out = "Rename one to it." if meant is None else f"Rename {meant!r} to it."
            if "".join(header[:1]).lower().startswith("sep="):
                way_out = "Take this line out, which Excel alone understands."
            init = f"Or let `lightning-tasks init {path}` write a table of ours."
            raise TableError(f"{path}: row 1: no column {column!r}; it has {quote(header)}. {way_out} {init}")
    for column in header:
        if column and header.count(column) > 1:  # spreadsheets write empty columns
            raise TableError(f"{path}: row 1: two columns are called {column!r}. Rename one of them.")
    if len(rows) == 1:
        raise TableError(f"{path}: no rows below the header. Add one row for each image.")
    for row, cells in enumerate(rows[1:]):
        if len(cells) != len(header):
            what = f"{path}: row {row + _FIRST_ROW}: {len(cells)} cells under {len(header)} columns"
            way_out = "Take an empty row out, and put quotes around a cell that has a comma in it."
            on_error(row, TableError(f"{what}. {way_out}"))
    columns = itertools.zip_longest(header, *rows[1:], fillvalue="")
    table = pd.DataFrame({name: cells for name, *cells in itertools.islice(columns, len(header))}, dtype=str)
    for column in ("fname", "group"):
        if column in header:
            _refuse_empty(path, column, table[column], on_error)
    if "group" in header:
        table["group"] = table["group"].map(normalize)
    if "is_valid" in header:
        table["is_valid"] = _booleans(path, table["is_valid"], on_error)
    return table


def _refuse_empty(path: Path, column: str, cells: "pd.Series[str]", on_error: OnError) -> None:
    empty = {cell: not cell.strip() or (column == "group" and stands_for_nothing(cell)) for cell in cells.unique()}
    for row in np.flatnonzero(cells.map(empty)):
        where, cell = cell_at(path, int(row), column), cells.iloc[row].strip()
        what = f"{cell!r} names nothing" if cell else "the cell is empty"
        on_error(int(row), TableError(f"{where}: {what}. Fill it, or take the row out."))


def _booleans(path: Path, cells: "pd.Series[str]", on_error: OnError) -> list[bool]:
    values = [as_bool(cell) for cell in cells]
    for row, cell in enumerate(cells):
        if values[row] is None:
            where = cell_at(path, row, "is_valid")
            on_error(row, TableError(f"{where}: {cell!r} is neither True nor False. Write one of them."))
    return [bool(value) for value in values]


def cell_at(path: Path, row: int, column: str) -> str:
    """Return how a cell of a row, counted from 0, is told to a person."""
    return f"{path}: row {row + first_row(path)}, column {column!r}"


def first_row(path: Path) -> int:
    """Return what a person calls a table's first row."""
    return 1 if is_image_set(path) else _FIRST_ROW


def is_image_set(path: Path) -> bool:
    """Return whether a table is one of VOC's lists of images, which have no header, and not a csv."""
    return path.suffix == ".txt" and path.parts[-3:-1] == ("ImageSets", "Main")


def shorten(cell: str, most: int = 60) -> str:
    """Return a cell for a message."""
    return cell if len(cell) <= most else f"{cell[:most]}…"


def near_column(wanted: str, header: Iterable[str]) -> str | None:
    """Return the column that is called nearly so, or as others call it; None: there is none."""
    names = {plain_name(name) for name in (wanted, *OTHER_NAMES.get(wanted, ()))}
    return next((name for name in header if plain_name(name) in names), None)


def plain_name(name: str) -> str:
    """Return the letters and digits alone, in lower case: `Is Valid`, `is-valid` and `is_valid` are one."""
    return "".join(character for character in name.lower() if character.isalnum())


def quote(names: Iterable[str]) -> str:
    """Return names for a message."""
    return ", ".join(repr(str(name)) for name in names)


def listed(names: Sequence[str]) -> str:
    """Return the first few names."""
    return ", ".join(names[:_NAMES_LISTED]) + (", ..." if len(names) > _NAMES_LISTED else "")
