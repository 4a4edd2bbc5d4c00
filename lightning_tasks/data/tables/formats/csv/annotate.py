"""From somebody's tables to annotations: what the columns say, what is odd, and several tables as one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from lightning_tasks.data.tables.csv_table import quote
from lightning_tasks.data.tables.formats.annotations import Annotations
from lightning_tasks.data.tables.formats.csv.column_guesses import is_number_column
from lightning_tasks.data.tables.formats.csv.column_roles import Roles, find_roles
from lightning_tasks.data.tables.formats.csv.rows import TableRows, describe
from lightning_tasks.data.tables.formats.csv.text_table import TextTable
from lightning_tasks.data.tables.formats.images import from_one_folder
from lightning_tasks.data.tables.formats.reader import ReadOptions
from lightning_tasks.errors import TableError


class Images(Protocol):
    """Where the images of a table's names are."""

    def count(self, names: Sequence[str]) -> int:
        """Return how many of some names are those of images."""

    def locate(self, names: Sequence[str]) -> tuple[Path, Mapping[str, str]]:
        """Return the folder that names start from, and for each name the image's, seen from there."""


def annotate(table: TextTable, options: ReadOptions, images: Images) -> Annotations:
    """Return what a table says.

    Raises:
        LightningTasksError: the columns cannot be told apart, or a cell cannot be used.
    """
    roles = find_roles(table, options.columns, images.count)
    if not (roles.labels or roles.one_hot or roles.points or roles.numbers or roles.box):
        raise TableError(
            f"{table.path}: no column of labels, points or numbers beside {roles.fname!r}; it has "
            f"{quote(table.header)}. Say which holds the labels: --columns 'labels=NAME'."
        )
    cells = table.column(roles.fname)
    place, found = images.locate(cells)
    names = [found[cell] for cell in cells]
    annotations = Annotations([], place, describe(table, roles, names))
    _note(table, roles, annotations, options)
    annotations.images = TableRows(table, roles, names, options, annotations).read()
    says_nothing = not (annotations.has_image_labels or annotations.has_object_labels or annotations.point_names)
    if roles.labels and says_nothing and not annotations.value_names:
        way_out = "Fill some cells, or name another one: --columns 'labels=NAME'."
        raise TableError(f"{table.path}: column {roles.labels!r}: no image has a label. {way_out}")
    return annotations


def join(tables: Sequence[Annotations], splits: Sequence[str], paths: Sequence[Path]) -> Annotations:
    """Return several tables as one, each of a split; "": of which is said in it, or not at all.

    Raises:
        TableError: they have other points or numbers, or an image is in two of them.
    """
    first = tables[0]
    folder, names = from_one_folder([(table.folder, image.name) for table in tables for image in table.images])
    of_image = iter(names)
    for table in tables:
        table.folder, table.images = folder, [image._replace(name=next(of_image)) for image in table.images]
    for table, split in zip(tables, splits, strict=True):
        table.images = [image._replace(split=split) for image in table.images] if split else table.images
    for other, path in zip(tables[1:], paths[1:], strict=True):
        _merge(first, other, path)
    return first


def _note(table: TextTable, roles: Roles, annotations: Annotations, options: ReadOptions) -> None:
    notes = annotations.notes
    renamed = roles.renamed()
    if renamed.items() - options.columns.items():
        said = ",".join(f"{ours}={theirs}" for ours, theirs in renamed.items())
        notes.append(f"the columns are read as --columns '{said}' would say")
    if roles.labels and is_number_column(table, roles.labels):
        otherwise = "" if roles.box else "; --task values reads them as numbers"
        notes.append(f"the numbers in {roles.labels!r} are read as labels{otherwise}")
    if len(roles.one_hot) == 1:
        notes.append(f"{roles.one_hot[0]!r} says yes or no, and is read as a label; --task values reads it as a number")
    unread = list(roles.unread)
    if roles.labels or roles.one_hot or roles.points:
        unread += roles.numbers
        if roles.numbers and not roles.box and not roles.point:
            notes.append(f"numbers ({', '.join(roles.numbers)}) are not read; --task values reads them")
    if unread:
        annotations.left_out[f"columns ({', '.join(unread)})"] = len(unread)


def _merge(first: Annotations, other: Annotations, path: Path) -> None:
    for name in ("point_names", "value_names"):
        if getattr(first, name) != getattr(other, name):
            what = name.replace("_", " ")
            raise TableError(f"{path}: its {what} differ from the other table's. Convert each alone.")
    both = {image.name for image in first.images} & {image.name for image in other.images}
    if both:
        raise TableError(f"{path}: {min(both)} is in the other table too. Keep it in one of them.")
    first.vocab = tuple(dict.fromkeys((*first.vocab, *other.vocab)))
    for what, n in other.left_out.items():
        first.left_out[what] = n if what.startswith("columns") else first.left_out[what] + n
    first.found = f"{first.found}; {path.name}: {len(other.images):,} images"
    first.notes += [note for note in other.notes if note not in first.notes]
    first.images += other.images
