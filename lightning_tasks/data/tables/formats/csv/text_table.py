"""Anybody's table of text: whatever its encoding, and whatever stands between its cells.

Rows are counted as spreadsheets count them: the first one is row 1.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lightning_tasks.data.tables.cells import as_number, normalize, stands_for_nothing
from lightning_tasks.data.tables.csv_table import quote
from lightning_tasks.data.tables.formats.image_names import has_ending
from lightning_tasks.data.tables.formats.text_lines import open_text
from lightning_tasks.errors import TableError
from lightning_tasks.filesystem import why_file_has_no_content

TABLES = (".csv", ".tsv", ".txt", ".tab", ".psv")  # how the names of such files end
_DELIMITERS = ",;\t|"
_LOOKED_AT = 30  # rows that tell the delimiter
_NO_TABLE = "{[<"  # how JSON and XML begin


@dataclass(frozen=True)
class TextTable:
    """A header, and rows that are as long as it."""

    path: Path
    delimiter: str
    header: list[str]  # normalized
    rows: list[list[str]]
    numbers: Sequence[int]  # what a person calls each row
    _said: dict[str, frozenset[str]] = field(default_factory=dict, repr=False)

    def column(self, name: str) -> list[str]:
        """Return the cells below a name."""
        position = self.header.index(name)
        return [row[position] for row in self.rows]

    def said(self, name: str) -> frozenset[str]:
        """Return the different cells below a name that say something."""
        if name not in self._said:
            cells = set(self.column(name))
            self._said[name] = frozenset(cell for cell in cells if cell.strip() and not stands_for_nothing(cell))
        return self._said[name]

    def where(self, row: int, column: str | None = None) -> str:
        """Return how a row, counted from 0, or a cell of it, is told to a person."""
        return f"{self.path}: row {self.numbers[row]}" + (f", column {column!r}" if column is not None else "")

    @property
    def decimal_comma(self) -> bool:
        """Whether a comma may stand for the decimal point."""
        return self.delimiter != ","

    def number(self, row: int, column: str, cell: str) -> float:
        """Return the finite number in a cell of a row; TableError: there is none."""
        number = as_number(cell, self.decimal_comma)
        if number is None or not abs(number) < float("inf"):  # NaN is not
            raise TableError(f"{self.where(row, column)}: {cell!r} is not a number. Write one.")
        return number


def read_text_table(path: Path, encoding: str | None = None) -> TextTable:
    """Return a table whose first row is its header; empty rows, and empty columns without a name, are none.

    Args:
        path: the file.
        encoding: of a file that is neither in UTF-8 nor begins with a mark that says what it is.

    Raises:
        TableError: it is no such table, or a row has too many or too few cells.
        ConfigError: there is no such encoding.
    """
    lines, first = _lines(path, encoding)
    delimiter = _delimiter(lines[first - 1 :][:_LOOKED_AT]) if first == 1 else _said_delimiter(path, lines[0])
    try:
        rows = list(csv.reader(lines[first - 1 :], delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise TableError(f"{path}: not a table ({error}). Write it again as csv.") from error
    if not rows:
        raise TableError(f"{path}: the table is empty.")
    return _checked(path, delimiter, rows, first)


def read_head(text: str) -> tuple[list[str], list[list[str]]] | None:
    """Return the header and the next few rows of a table's beginning; None: it does not begin like one with a header.

    A first row with the name of an image, or of numbers alone, is none.
    """
    lines = [line for line in text.splitlines()[: _LOOKED_AT + 1] if line.strip()]
    if len(lines) > 1 and lines[0].lower().startswith("sep="):
        del lines[0]
    if not lines or lines[0].lstrip("\ufeff \t").startswith(tuple(_NO_TABLE)):
        return None
    try:
        header, *rows = csv.reader(lines, delimiter=_delimiter(lines))
    except csv.Error:
        return None
    header = [normalize(cell) for cell in header]
    if (
        len(header) < 2
        or any(has_ending(word) for cell in header for word in cell.split())
        or not any(_is_word(cell) for cell in header)
    ):
        return None
    return header, [row for row in rows if len(row) == len(header)]


def _is_word(cell: str) -> bool:
    return bool(cell) and as_number(cell, decimal_comma=False) is None


def _lines(path: Path, encoding: str | None) -> tuple[list[str], int]:
    """Return a file's lines, and which one is the header: Excel may write what stands between cells above it."""
    if (instead := why_file_has_no_content(path)) is not None:
        raise TableError(f"{path}: not a table but {instead}.")
    with open_text(path, encoding, newline="") as file:
        lines, said = file.readlines(), file.encoding
    for number, line in enumerate(lines, 1):
        if "\0" in line:
            way_out = "Say what it is in, such as --encoding utf-16-le, or write it again as csv."
            raise TableError(f"{path}: line {number}: there are zero bytes in it, as in no table in {said}. {way_out}")
    has_sep = len(lines) > 1 and lines[0].lstrip("\ufeff").lower().startswith("sep=")
    return lines, 2 if has_sep else 1


def _said_delimiter(path: Path, line: str) -> str:
    said = line.lstrip("\ufeff").rstrip("\r\n")[len("sep=") :]
    if len(said) != 1 or said.isalnum() or said in '" ':
        raise TableError(f"{path}: row 1: 'sep=' names {said!r}, which cannot stand between cells. Take the line out.")
    return said


def _delimiter(lines: Sequence[str]) -> str:
    """Return what cuts the header, and the rows below it alike, into the most cells."""

    def fits(delimiter: str) -> tuple[int, int]:
        try:
            counts = [len(row) for row in csv.reader(lines, delimiter=delimiter) if row]
        except csv.Error:
            return 0, 0
        alike = sum(n == counts[0] for n in counts) if counts and counts[0] > 1 else 0
        return alike, counts[0] if counts else 0

    return max(_DELIMITERS, key=fits)


def _checked(path: Path, delimiter: str, rows: list[list[str]], first: int) -> TextTable:
    header = [normalize(name) for name in rows[0]]
    kept = [column for column, name in enumerate(header) if name or any(_filled(rows[1:], column))]
    for column in kept:
        if header[column] and header.count(header[column]) > 1:
            raise TableError(f"{path}: row {first}: two columns are called {header[column]!r}. Rename one of them.")
    numbers, cells = [], []
    seen: dict[str, str] = {}  # of cells that are alike one is kept: a table may have a million rows
    for number, row in enumerate(rows[1:], first + 1):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) < len(header) or any(cell.strip() for cell in row[len(header) :]):
            what = f"{path}: row {number}: {len(row)} cells under {len(header)} columns"
            raise TableError(f"{what}. Put quotes around a cell that has {delimiter!r} in it.")
        numbers.append(number)
        cells.append([seen.setdefault(row[column], row[column]) for column in kept])
    if not cells:
        raise TableError(f"{path}: no rows below the header ({quote(header)}). Add one for each image.")
    return TextTable(path, delimiter, [header[column] for column in kept], cells, numbers)


def _filled(rows: Iterable[Sequence[str]], column: int) -> Iterator[bool]:
    return (bool(row[column].strip()) for row in rows if len(row) > column)
