"""Writing a csv: a user's names as columns beside ours, file names that are no UTF-8, and Excel."""

import csv
import io
import itertools
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

from lightning_tasks.atomic_write import write_whole
from lightning_tasks.filesystem import as_text

STDOUT = Path("-")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what Excel takes for the begin of one
_SEPARATORS = " ;,|"
_BOM = "\ufeff"


def distinct_columns(names: Sequence[str], reserved: Sequence[str]) -> list[str]:
    """Return a user's names as columns beside reserved ones: `error_` for `error`, where there is such a column."""
    taken = {*names, *reserved}
    columns = []
    for name in names:
        column = name
        while column in reserved or (column != name and column in taken):
            column += "_"
        taken.add(column)
        columns.append(column)
    return columns


def describe_renames(names: Sequence[str], reserved: Sequence[str]) -> list[str]:
    """Return a sentence for each of a user's names that `distinct_columns` had to change."""
    return [
        f"{name!r} is in the column {new!r}"
        for name, new in zip(names, distinct_columns(names, reserved), strict=True)
        if name != new
    ]


def separator_for(labels: Sequence[str], wanted: str = " ") -> str:
    """Return what may stand between labels in a cell: the wanted one, or the first of the usual that is in no label."""
    usable = (mark for mark in (wanted, *_SEPARATORS) if not any(mark in label for label in labels))
    return next(usable, "\n")


def write_csv(path: Path, table: Iterable[Sequence[str]], *, excel: bool = False) -> None:
    """Write rows of cells, the first the header, as a csv in UTF-8; `-`: to standard output. ConfigError: it cannot be.

    `excel`: with a byte order mark, by which Excel knows UTF-8, and ' before text that it would calculate.
    """
    if path == STDOUT:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8", newline="")  # whatever the terminal's is
        _write(sys.stdout, table, excel)
        sys.stdout.flush()  # whoever reads may have gone
        return

    def write(new: Path) -> None:
        with new.open("w", newline="", encoding="utf-8") as file:
            _write(file, table, excel)

    write_whole(path, write)


def write_rows(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """Write a header and many rows of text and numbers to a file in UTF-8, as they come; return how many rows."""
    numbers = itertools.count()
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:  # as `as_text`
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(row for row, _ in zip(rows, numbers, strict=False))
    return next(numbers)


def _write(file: TextIO, table: Iterable[Sequence[str]], excel: bool) -> None:
    if excel:
        file.write(_BOM)
    cleaned = ([_defuse(as_text(cell)) if excel else as_text(cell) for cell in row] for row in table)
    csv.writer(file, lineterminator="\n").writerows(cleaned)


def _defuse(cell: str) -> str:
    """Return a cell that Excel shows as it stands; a number stays one."""
    if not cell.startswith(_FORMULA):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell
