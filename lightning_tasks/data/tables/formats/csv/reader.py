"""Anybody's table of images: csv or tsv, with any names of columns, in the shapes that people write.

A row is an image with a cell of labels, a column for each label, columns of points or of numbers; or a row is a label,
a box or a point of an image. Positions are pixels as they are written; boxes whose numbers all lie between 0 and 1 are
parts of the image, as Open Images has them. In a column for each label 1 is present, 0 absent, and -1 or an empty cell
unknown, as CheXpert has them.
"""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from lightning_tasks.data.tables.csv_table import delimiter_of, quote
from lightning_tasks.data.tables.formats.annotations import Annotations
from lightning_tasks.data.tables.formats.csv.annotate import annotate, join
from lightning_tasks.data.tables.formats.csv.column_guesses import fname_column
from lightning_tasks.data.tables.formats.csv.column_roles import find_roles
from lightning_tasks.data.tables.formats.csv.positions import are_parts, numbers_in
from lightning_tasks.data.tables.formats.csv.text_table import TABLES, TextTable, read_head, read_text_table
from lightning_tasks.data.tables.formats.deeplabcut import is_deeplabcut
from lightning_tasks.data.tables.formats.image_names import plain_name as image_name
from lightning_tasks.data.tables.formats.image_names import split_of_file, split_of_folder
from lightning_tasks.data.tables.formats.images import ImagesNear
from lightning_tasks.data.tables.formats.reader import Reader, ReadOptions
from lightning_tasks.data.tables.formats.source import Source
from lightning_tasks.errors import LightningTasksError, TableError

_VIA = "region_shape_attributes"  # a column of VIA's csv


class CsvTables(Reader):
    """A table, or those of train, val and test."""

    name = "csv"
    about = "a table: csv or tsv with any names of columns"
    reads_columns = True

    def recognises(self, source: Source) -> bool:
        """Return whether a file has a header, or whether in a folder one table or those of splits name images."""
        return bool(_tables(source))

    def read(self, source: Source, options: ReadOptions) -> Annotations:
        """Return what the rows say; of several tables, each is a split."""
        paths = _tables(source) or ([source.path] if not source.is_folder else [])
        splits = {path: _split_of(path, source) if len(paths) > 1 else "" for path in paths}
        if not paths:
            raise TableError(f"{source.path}: no table in it names images. Name the table's file.")
        if len(paths) > 1 and len(set(splits.values()) - {""}) < len(paths):
            listed = quote(path.name for path in paths[:5])
            raise TableError(f"{source.path}: {len(paths)} tables ({listed}). Name one of them.")
        read = [
            annotate(read_text_table(path, options.encoding), options, ImagesNear(path.parent, options.images))
            for path in paths
        ]
        return join(read, list(splits.values()), paths) if len(read) > 1 else read[0]


def read_own_table(path: Path, options: ReadOptions) -> TextTable | None:
    """Return a table that says to our own readers all that it says to this one; None: it does not.

    Nothing in it is in another form or of another name. Columns of 0 and 1 are numbers where other numbers are beside.
    """
    if path.suffix.lower() not in TABLES or options != ReadOptions(options.images):
        return None
    try:
        table = read_text_table(path)
        if "fname" not in table.header:
            return None
        roles = find_roles(table, {}, ImagesNear(path.parent, options.images).count)
        in_parts = are_parts([numbers_in(table, name) for xyv in roles.points.values() for name in xyv[:2]])
        as_we_read = not in_parts and table.delimiter == delimiter_of(path) and table.numbers[-1] == len(table.rows) + 1
    except LightningTasksError:
        return None
    names = table.column(roles.fname)
    own_points = all((x, y) == (f"{point}_x", f"{point}_y") for point, (x, y, _) in roles.points.items())
    one_row_each = len(set(names)) == len(names) or not roles.labels
    own_names = roles.fname == "fname" and roles.labels in (None, "labels") and own_points
    other_form = roles.box or roles.point or (roles.one_hot and not roles.numbers) or not one_row_each
    return table if as_we_read and own_names and not other_form else None


def _tables(source: Source) -> list[Path]:
    found = []
    for path in source.with_ending(*TABLES):
        head = read_head(source.head(path)) if len(path.relative_to(source.folder).parts) <= 2 else None
        if head is None or _VIA in head[0] or is_deeplabcut(source.head(path)):
            continue
        header, rows = head
        cells = {name: [row[column] for row in rows] for column, name in enumerate(header)}
        if not source.is_folder or _names_images(header, cells, source):
            found.append(path)
    return found


def _names_images(header: list[str], cells: dict[str, list[str]], source: Source) -> bool:
    def count(names: Iterable[str]) -> int:
        return sum(PurePosixPath(image_name(name)).name in source.image_stems for name in names)

    try:
        return fname_column(header, cells.__getitem__, count) is not None
    except TableError:  # several do
        return True


def _split_of(path: Path, source: Source) -> str:
    above = path.relative_to(source.folder).parts[:-1]
    return split_of_file(path.stem)[1] or (split_of_folder(above[0]) if above else "")
