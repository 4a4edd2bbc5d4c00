"""The numbers of positions in somebody's table: in pixels, or in parts of the image's width and height."""

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache

from lightning_tasks.data.images.decode import file_size_px
from lightning_tasks.data.tables.cells import as_number
from lightning_tasks.data.tables.formats.annotations import Annotations
from lightning_tasks.data.tables.formats.csv.column_guesses import filled
from lightning_tasks.data.tables.formats.csv.text_table import TextTable
from lightning_tasks.errors import TableError


class PartsOfImages:
    """Columns that may hold parts of images; see `are_parts`."""

    def __init__(self, table: TextTable, columns: Iterable[Sequence[float]], annotations: Annotations) -> None:
        """Note in `annotations` where it is so; its folder is that of the images, whose sizes are needed then."""
        self._table, self._annotations = table, annotations
        self._are_parts = are_parts(columns)
        self._size = lru_cache(1)(file_size_px)  # rows of an image stand together
        if self._are_parts:
            note = "positions all lie between 0 and 1, and are taken for parts of the image's width and height"
            annotations.notes.append(note)

    def scale(self, name: str, row: int) -> tuple[float, float]:
        """Return what makes pixels of x and of y in a row of an image; TableError: its size is needed and not known."""
        if not self._are_parts:
            return 1, 1
        path = self._annotations.folder / name
        size = self._size(path)
        if size is None:
            where = self._table.where(row)
            raise TableError(
                f"{where}: its position is in parts of the image, and {path} cannot be read. See --images."
            )
        height, width = size
        return width, height


def are_parts(columns: Iterable[Sequence[float]]) -> bool:
    """Return whether all numbers of some columns lie between 0 and 1, and some between these; NaN is none."""
    numbers = [number for column in columns for number in column if not math.isnan(number)]
    return any(number % 1 for number in numbers) and all(0 <= number <= 1 for number in numbers)


def numbers_in(table: TextTable, column: str) -> list[float]:
    """Return the numbers of a column, NaN where a cell is empty.

    Raises:
        TableError: another one is none, or some are written with a comma and some with a point.
    """
    if table.decimal_comma:
        marks = {mark: cell for cell in sorted(table.said(column)) for mark in ",." if mark in cell}
        if len(marks) > 1:
            what = f"{table.path}: column {column!r}: {marks[',']!r} and {marks['.']!r} stand in it"
            raise TableError(f"{what}. Write the decimal point in one way, and nothing between thousands.")
    numbers = []
    for row, cell in enumerate(table.column(column)):
        number = as_number(cell, table.decimal_comma)
        if number is None or math.isinf(number):
            number = table.number(row, column, cell) if filled([cell]) else math.nan
        numbers.append(number)
    return numbers
