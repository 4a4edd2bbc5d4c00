"""From the rows of somebody's table, whose columns are known, to images."""

import math
from collections.abc import Iterator, Mapping, Sequence

from lightning_tasks.data.tables.cells import as_bool, as_number, normalize
from lightning_tasks.data.tables.formats.annotations import (
    AnnotatedImage,
    AnnotatedObject,
    Annotations,
)
from lightning_tasks.data.tables.formats.csv.boxes import BoxCells
from lightning_tasks.data.tables.formats.csv.column_roles import Roles
from lightning_tasks.data.tables.formats.csv.labels import LabelCells, OneHotCells
from lightning_tasks.data.tables.formats.csv.points import PointCells
from lightning_tasks.data.tables.formats.csv.positions import numbers_in
from lightning_tasks.data.tables.formats.csv.text_table import TextTable
from lightning_tasks.data.tables.formats.image_names import split_of_folder
from lightning_tasks.data.tables.formats.reader import ReadOptions
from lightning_tasks.errors import TableError


class TableRows:
    """The rows of a table."""

    def __init__(
        self, table: TextTable, roles: Roles, names: Sequence[str], options: ReadOptions, annotations: Annotations
    ) -> None:
        """`names`: each row's image, seen from `annotations.folder`; there what is odd is noted."""
        self._table, self._roles, self._names, self._annotations = table, roles, names, annotations
        self._cells = {name: table.column(name) for name in table.header}
        self._labels = LabelCells(table, roles, names, options, annotations) if roles.labels else None
        self._one_hot = OneHotCells(table, roles, options, annotations) if roles.one_hot else None
        self._points = PointCells(table, roles, annotations) if roles.points else None
        self._boxes = BoxCells(table, roles, self._labels, annotations) if roles.box else None
        values = (*roles.numbers, *roles.one_hot, *([roles.labels] if roles.labels else []))
        self._value_columns = {name: (self._cells[name], table.decimal_comma) for name in values}

    def read(self) -> list[AnnotatedImage]:
        """Return the images in the order of their first rows.

        Raises:
            TableError: a cell cannot be used, or the rows of an image deny each other.
        """
        rows_of: dict[str, list[int]] = {}
        for row, name in enumerate(self._names):
            if not name.strip():
                raise TableError(f"{self._table.where(row, self._roles.fname)}: the cell is empty. Name an image.")
            rows_of.setdefault(name, []).append(row)
        self._annotations.point_names = self._points.names if self._points else ()
        meant = self._roles.labels or self._roles.one_hot or self._roles.points
        self._annotations.value_names = () if meant else tuple(self._roles.numbers)
        for name in self._annotations.value_names:
            numbers_in(self._table, name)  # or an error
        return [self._image(name, rows) for name, rows in rows_of.items()]

    def _image(self, name: str, rows: list[int]) -> AnnotatedImage:
        roles, first = self._roles, rows[0]
        if not (roles.labels or roles.point or roles.box):
            rows = self._distinct(name, rows, may_differ=bool(roles.points) and not roles.one_hot)
        labels: Sequence[str] = ()
        unknown: Sequence[str] = ()
        objects: list[AnnotatedObject] = []
        if self._boxes:
            objects = [self._boxes.of_row(name, row) for row in rows]
        elif self._labels:
            labels, unknown = self._labels.of_rows(rows)
        if self._one_hot:
            labels, unknown = self._one_hot.of_row(first)
        if self._points:
            objects = self._points.of_rows(name, rows)
        values = RowValues(self._value_columns, first) if len(rows) == 1 else {}
        return AnnotatedImage(
            name, self._table.where(first), labels, unknown, objects, values, self._split(rows),
            self._same(rows, roles.group) if roles.group else "",
        )  # fmt: skip

    def _distinct(self, name: str, rows: list[int], *, may_differ: bool) -> list[int]:
        """Return the rows of an image without those that say again what another one says.

        Raises:
            TableError: they differ, and may not.
        """
        if len(rows) == 1:
            return rows
        first_with: dict[tuple[str, ...], int] = {}
        for row in rows:
            first_with.setdefault(tuple(self._table.rows[row]), row)
        distinct = list(first_with.values())
        if len(distinct) > 1 and not may_differ:
            before, where = self._table.numbers[distinct[0]], self._table.where(distinct[1])
            what = f"{where}: {name} stands in row {before} already, with other cells"
            raise TableError(f"{what}: one row denies what the other says. Keep one of them.")
        if len(distinct) < len(rows):
            self._annotations.left_out["rows that say again what another one says"] += len(rows) - len(distinct)
        return distinct

    def _same(self, rows: list[int], column: str) -> str:
        cells = self._cells[column]
        for row in rows:
            if cells[row] != cells[rows[0]]:
                raise TableError(
                    f"{self._table.where(row, column)}: {cells[row]!r}, and {cells[rows[0]]!r} in row "
                    f"{self._table.numbers[rows[0]]} of the same image. Make them alike."
                )
        return normalize(cells[rows[0]])

    def _split(self, rows: list[int]) -> str:
        roles, split = self._roles, ""
        if roles.split:
            said = self._same(rows, roles.split)
            split = split_of_folder(said)
            if said and not split:
                where = self._table.where(rows[0], roles.split)
                raise TableError(f"{where}: {said!r} is none of train, val and test. Write one of them.")
        if roles.is_valid:
            is_valid = as_bool(self._same(rows, roles.is_valid))
            where = self._table.where(rows[0], roles.is_valid)
            if is_valid is None:
                raise TableError(f"{where}: {self._cells[roles.is_valid][rows[0]]!r} is neither True nor False.")
            if split and is_valid != (split == "val"):
                raise TableError(f"{where}: it contradicts {split!r} in {roles.split!r}. Correct one of them.")
            split = split or ("val" if is_valid else "train")
        return split


class RowValues(Mapping[str, float]):
    """The numbers in a row's cells, read when somebody asks: most tables have them beside what is meant."""

    __slots__ = ("_columns", "_row")

    def __init__(self, columns: Mapping[str, tuple[Sequence[str], bool]], row: int) -> None:
        """`columns`: the cells of each, and whether a comma may stand for the decimal point."""
        self._columns, self._row = columns, row

    def __getitem__(self, name: str) -> float:
        cells, decimal_comma = self._columns[name]
        number = as_number(cells[self._row], decimal_comma)
        if number is None or not math.isfinite(number):
            raise KeyError(name)
        return number

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._columns if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def describe(table: TextTable, roles: Roles, names: Sequence[str]) -> str:
    """Return what a table is, for a person."""
    if roles.box:
        what = "a row a box"
    elif roles.point:
        what = "a row a point"
    elif roles.points:
        what = f"columns of {len(roles.points):,} points"
    elif roles.labels:
        what = "a row a label" if len(set(names)) < len(names) else "a cell of labels"
    elif roles.one_hot:
        what = f"a column for each of {len(roles.one_hot):,} labels"
    else:
        what = f"columns of {len(roles.numbers):,} numbers"
    of_rows = f", {len(names):,} rows" * (len(set(names)) < len(names))
    return f"table, {what}: {len(set(names)):,} images{of_rows}"
