"""What a column of somebody's table may hold, by its name and by its cells."""

from collections.abc import Callable, Iterable, Sequence

from lightning_tasks.data.tables.cells import as_number, stands_for_nothing
from lightning_tasks.data.tables.csv_table import plain_name, quote
from lightning_tasks.data.tables.formats.csv.text_table import TextTable
from lightning_tasks.data.tables.formats.image_names import has_ending
from lightning_tasks.data.tables.formats.images import sample
from lightning_tasks.errors import TableError

# As others call our columns, by `plain_name`; the first ones go first.
_FNAME = (
    *("fname", "filename", "imagename", "imagefile", "imagefilename", "imagepath", "image", "imageid", "images"),
    *("file", "filepath", "img", "imgname", "imgid", "imgpath", "imageindex", "imageurl", "frame", "photo"),
)
_FNAME_BY_CELLS = ("path", "name", "id", "idcode", "url", "key", "index")  # names of images only where their cells are
LABELS = (
    *("labels", "label", "tags", "tag", "classes", "class", "classname", "labelname", "categories", "category"),
    *("categoryname", "target", "targets", "findinglabels", "diagnosis", "species", "breed", "choice", "choices"),
    *("genre", "genres", "classid", "labelid", "categoryid", "classindex"),
)
ONE_HOT = {
    **dict.fromkeys(("1", "1.0", "true", "yes", "t", "y"), 1),
    **dict.fromkeys(("0", "0.0", "false", "no", "f", "n"), 0),
    **dict.fromkeys(("-1", "-1.0"), -1),
}
_MOSTLY = 0.5
LONGEST_NAME = 1000  # letters; some tables hold the pixels themselves
_LAST = 100  # the rank of a name that is not known

CountImages = Callable[[Sequence[str]], int]  # of names, how many are those of images that are there


def fname_column(
    header: Sequence[str], cells_of: Callable[[str], Sequence[str]], count_images: CountImages | None
) -> str | None:
    """Return the column that names images; None: none does.

    A column most of whose cells end like an image goes first, then one whose cells are images that are there, then one
    that is called so. Of several the better known name decides.

    Args:
        header: the columns.
        cells_of: the cells of one.
        count_images: None: nobody looks.

    Raises:
        TableError: several columns would do, and no name tells which.
    """
    if "fname" in header:
        return "fname"
    known = (*_FNAME, *_FNAME_BY_CELLS)
    rank = {name: known.index(plain_name(name)) if plain_name(name) in known else _LAST for name in header}
    cells = {name: sample(cells_of(name)) for name in header}
    found = [name for name in header if _most(map(has_ending, cells[name]), cells[name])]
    if count_images is not None and not (len(found) == 1 and count_images(cells[found[0]])):
        there = [n for n in header if count_images(cells[n]) > _MOSTLY * len(cells[n])]
        there = [n for n in there if n in found] or there
        numbers = [name for name in there if rank[name] == _LAST and not any(map(_is_word, cells[name]))]
        found = [name for name in there if name not in numbers] or found
    found = found or [n for n in header if plain_name(n) in _FNAME and all(len(c) <= LONGEST_NAME for c in cells[n])]
    if len(found) > 1 and all(rank[name] == _LAST for name in found):
        raise TableError(f"several columns name images: {quote(found)}. Say which: --columns 'fname={found[0]}'.")
    return min(found, key=rank.__getitem__, default=None)


def labels_column(table: TextTable, free: Sequence[str], of_boxes: bool) -> str | None:
    """Return the column of labels, by its name; None: none is called so. TableError: several are, and they differ.

    One of words goes before one of numbers; fractions are no labels, and one of several columns of 0 and 1 neither.
    """
    if "labels" in free:
        return "labels"
    found = sorted((n for n in free if plain_name(n) in LABELS), key=lambda n: LABELS.index(plain_name(n)))
    truths = [name for name in free if is_one_hot(table, name)]
    if len(truths) > 1 and not of_boxes:
        found = [name for name in found if name not in truths]
    texts = [name for name in found if not is_number_column(table, name)]
    if len({tuple(table.column(name)) for name in texts}) > 1:
        raise _several(table, texts)
    return next(iter((*texts, *(name for name in found if not _has_fractions(table, name)))), None)


def only_words(table: TextTable, free: Sequence[str]) -> str | None:
    """Return the one column of words that repeat, or that stands alone; TableError: there are several."""
    texts = [n for n in free if table.said(n) and not is_number_column(table, n)]
    repeating = [n for n in texts if len(table.said(n)) <= _MOSTLY * len(filled(table.column(n)))]
    if len(repeating or texts) > 1:
        raise _several(table, repeating or texts)
    return next(iter(repeating or texts), None)


def is_number_column(table: TextTable, name: str) -> bool:
    """Return whether a column's cells are numbers, as far as they are filled."""
    cells = table.said(name)
    return bool(cells) and all(as_number(cell, table.decimal_comma) is not None for cell in cells)


def is_one_hot(table: TextTable, name: str) -> bool:
    """Return whether a column's cells say yes, no or -1, as far as they are filled; a letter only beside its opposite.

    A column of F alone may be of women.
    """
    cells = {cell.strip().lower() for cell in table.said(name)}
    letters = cells & {"t", "f", "y", "n"}
    return bool(cells) and cells <= set(ONE_HOT) and letters in (set(), {"t", "f"}, {"y", "n"})


def filled(cells: Iterable[str]) -> list[str]:
    """Return the cells that say something."""
    return [cell for cell in cells if cell.strip() and not stands_for_nothing(cell)]


def _several(table: TextTable, names: Sequence[str]) -> TableError:
    way_out = f"Say which: --columns 'labels={names[0]}'."
    return TableError(f"{table.path}: several columns may be the labels: {quote(names)}. {way_out}")


def _has_fractions(table: TextTable, name: str) -> bool:
    numbers = [as_number(cell, table.decimal_comma) for cell in table.said(name)]
    return any(number is not None and number % 1 for number in numbers)


def _is_word(cell: str) -> bool:
    return as_number(cell, decimal_comma=False) is None


def _most(found: Iterable[bool], cells: Sequence[str]) -> bool:
    return bool(cells) and sum(found) > _MOSTLY * len(cells)
