"""The points in somebody's table, side by side or one a row."""

import math
from collections.abc import Sequence

from lightning_tasks.data.tables.cells import normalize
from lightning_tasks.data.tables.formats.annotations import ABSENT, HIDDEN, SEEN, AnnotatedObject, Annotations
from lightning_tasks.data.tables.formats.csv.column_guesses import filled
from lightning_tasks.data.tables.formats.csv.column_roles import Roles
from lightning_tasks.data.tables.formats.csv.positions import PartsOfImages, numbers_in
from lightning_tasks.data.tables.formats.csv.text_table import TextTable
from lightning_tasks.data.tables.point_columns import VISIBILITY
from lightning_tasks.errors import TableError

_ODD = ((0, 0), (-1, -1))  # positions that some programs write for points that are not there


class PointCells:
    """Columns of x, y and perhaps visibility."""

    def __init__(self, table: TextTable, roles: Roles, annotations: Annotations) -> None:
        """Raise TableError where a cell of a position is no number. `annotations.folder`: see `PartsOfImages`."""
        self._table, self._roles = table, roles
        self._cells = {name: table.column(name) for name in table.header}
        self.names = self._names()
        self._positions = {column: numbers_in(table, column) for xyv in roles.points.values() for column in xyv[:2]}
        self._parts = PartsOfImages(table, self._positions.values(), annotations)
        if n := sum(map(self._count_odd, (xyv[:2] for xyv in roles.points.values()))):
            what = f"{n:,} points stand at 0 0 or -1 -1, and are read as positions"
            annotations.notes.append(f"{what}: where these are points that are not there, empty their cells")
        self._has_coco_visibility = any(
            cell.strip() in ("2", "2.0") for _, _, v in roles.points.values() if v for cell in table.said(v)
        )

    def _count_odd(self, columns: Sequence[str]) -> int:
        places = zip(*(self._positions[column] for column in columns), strict=True)
        return sum(place in _ODD for place in places)

    def _names(self) -> tuple[str, ...]:
        if self._roles.point is None:
            return tuple(self._roles.points)
        return tuple(dict.fromkeys(map(normalize, filled(self._cells[self._roles.point]))))

    def of_rows(self, name: str, rows: Sequence[int]) -> list[AnnotatedObject]:
        """Return the objects in an image's rows, one a row, or all points as one; TableError: a cell cannot be used."""
        roles = self._roles
        if roles.point is None:
            columns = roles.points.values()
            return [
                AnnotatedObject(points=[n for xyv in columns for n in self._point(name, row, *xyv)]) for row in rows
            ]
        found: dict[str, tuple[float, float, float]] = {}
        for row in rows:
            point = normalize(self._cells[roles.point][row])
            if point in found:
                where = self._table.where(row, roles.point)
                raise TableError(f"{where}: the point {point!r} of {name} stands in another row already. Keep one.")
            if point:
                found[point] = self._point(name, row, *roles.points[""])
        absent = (0.0, 0.0, ABSENT)
        return [AnnotatedObject(points=[n for point in self.names for n in found.get(point, absent)])]

    def _point(self, name: str, row: int, x: str, y: str, visibility: str | None) -> tuple[float, float, float]:
        px = self._positions[x][row], self._positions[y][row]
        n_filled = sum(map(math.isfinite, px))
        if n_filled == 1:
            where = self._table.where(row, f"{x}/{y}")
            raise TableError(f"{where}: only one of the two is filled. Fill both, or leave both empty.")
        seen, is_hidden = self._visibility(row, visibility) if visibility else (-1, False)
        if n_filled and seen:
            width, height = self._parts.scale(name, row)
            return px[0] * width, px[1] * height, HIDDEN if is_hidden else SEEN
        if seen == 1:
            where = self._table.where(row, f"{x}/{y}")
            raise TableError(f"{where}: the point is said to be visible, and has no position. Fill both.")
        return 0.0, 0.0, ABSENT

    def _visibility(self, row: int, column: str) -> tuple[int, bool]:
        """Return whether a point is annotated, 0 or 1, or -1 where the cell does not say; and whether it is hidden."""
        said = "".join(filled([self._cells[column][row]])).strip().lower()
        if said not in VISIBILITY:
            raise TableError(f"{self._table.where(row, column)}: {said!r} is not 0, 1 or 2. Write one of them.")
        return VISIBILITY[said], self._has_coco_visibility and said in ("1", "1.0")
