"""The boxes in somebody's table, one a row."""

from lightning_tasks.data.tables.csv_table import quote
from lightning_tasks.data.tables.formats.annotations import AnnotatedObject, Annotations, Box
from lightning_tasks.data.tables.formats.csv.column_guesses import filled
from lightning_tasks.data.tables.formats.csv.column_roles import Roles
from lightning_tasks.data.tables.formats.csv.labels import LabelCells
from lightning_tasks.data.tables.formats.csv.positions import PartsOfImages, numbers_in
from lightning_tasks.data.tables.formats.csv.text_table import TextTable
from lightning_tasks.errors import TableError


class BoxCells:
    """Four columns: the corners of a box, or one corner and its size; in pixels, or in parts of the image."""

    def __init__(self, table: TextTable, roles: Roles, labels: LabelCells | None, annotations: Annotations) -> None:
        """`annotations.folder`: where the images are, whose sizes are needed for parts."""
        self._table, self._roles, self._labels = table, roles, labels
        self._cells = {name: table.column(name) for name in roles.box}
        numbers = [numbers_in(table, name) for name in roles.box]
        self._parts = PartsOfImages(table, numbers, annotations)

    def of_row(self, name: str, row: int) -> AnnotatedObject:
        """Return the object in a row of an image; TableError: its box cannot be used."""
        roles, table = self._roles, self._table
        labels = self._labels.of_row(row) if self._labels else ()
        if len(labels) > 1:
            raise TableError(f"{table.where(row, roles.labels)}: a box has one label, and here are {quote(labels)}.")
        cells = [self._cells[column][row] for column in roles.box]
        if not filled(cells):
            return AnnotatedObject("".join(labels))
        a, b, c, d = (table.number(row, column, cell) for column, cell in zip(roles.box, cells, strict=True))
        x0, y0, x1, y1 = (a, b, a + c, b + d) if roles.box_has_size else (a, b, c, d)
        if x1 < x0 or y1 < y0:
            raise TableError(f"{table.where(row)}: the box ({a:g}, {b:g}, {c:g}, {d:g}) is upside down. Correct it.")
        width, height = self._parts.scale(name, row)
        return AnnotatedObject("".join(labels), Box(x0 * width, y0 * height, x1 * width, y1 * height))
