"""Columns that nobody reads, and what their names are nearly like: `isvalid` beside `is_valid` draws another split."""

import difflib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from lightning_tasks.data.tables.csv_table import plain_name, quote
from lightning_tasks.data.tables.splits import FILE
from lightning_tasks.data.tables.table_checks import Problem

ROW_COLUMNS = ("fname", "group", "is_valid", "split")  # of any task

_LISTED = 20
_ALIKE = 0.8  # of difflib's ratio: is_vaild and is_valid have 0.86
_SYNONYMS = {
    **dict.fromkeys(("valid", "val", "validation", "isval", "isvalidation"), "is_valid"),
    **dict.fromkeys(("subset", "partition", "set", "phase", "usage"), "split"),
    **dict.fromkeys(("person", "personid", "subject", "subjectid", "patient", "patientid", "identity"), "group"),
}


class TaskColumns(NamedTuple):
    """The columns of a table that a task reads, beside `ROW_COLUMNS`."""

    annotations: Sequence[str]  # that say something of the image, and not of the row or of a part; may be missing
    others: Sequence[str] = ()  # that may be there too
    meant_by: Callable[[str], str | None] = lambda column: None  # which other column of the task one is nearly like


def unused_columns(
    path: Path, columns: Iterable[str], of_task: TaskColumns, *, only_near_misses: bool
) -> list[Problem]:
    """Return one doubt that names the columns which nobody reads; none where all are read.

    Args:
        path: the table's file.
        columns: what stands in its header.
        of_task: the columns that its task reads.
        only_near_misses: name those alone that are nearly like another: of the others a splitter may make use.
    """
    columns = [column for column in columns if column != FILE]
    known = {*ROW_COLUMNS, *of_task.annotations, *of_task.others}
    unused = [column for column in columns if column and column not in known]  # pandas writes its index without a name
    missing = [name for name in (*ROW_COLUMNS, *of_task.annotations) if name not in columns]
    nearest = {column: _nearest(column, missing) or of_task.meant_by(column) for column in unused}
    if only_near_misses:
        unused = [column for column in unused if nearest[column] is not None]
    if not unused:
        return []
    more = f" and {len(unused) - _LISTED:,} more" * (len(unused) > _LISTED)
    listed = quote(unused) if more or len(unused) == 1 else f"{quote(unused[:-1])} and {unused[-1]!r}"
    message = f"{path}: row 1: nothing reads the column{'s' * (len(unused) > 1)} {listed}{more}."
    pairs = [f"{column!r} to {name!r}" for column, name in nearest.items() if column in unused and name is not None]
    if pairs:
        return [Problem("column", message, way_out=f"If that is what is meant, rename {', '.join(pairs[:_LISTED])}.")]
    return [Problem("column", message)]


def _nearest(column: str, missing: Sequence[str]) -> str | None:
    plain = {plain_name(name): name for name in missing}
    synonym = _SYNONYMS.get(plain_name(column))
    if synonym in missing:
        return synonym
    close = difflib.get_close_matches(plain_name(column), plain, n=1, cutoff=_ALIKE)
    return plain[close[0]] if close else None
