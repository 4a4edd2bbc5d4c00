"""Columns that nobody reads, and what their names are nearly like: `isvalid` beside `is_valid` draws another split."""

import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from lightning_tasks.data.tables.csv_table import plain_name, quote
from lightning_tasks.data.tables.splits import FILE
from lightning_tasks.data.tables.table_checks import Problem

ROW_COLUMNS = ("fname", "group", "is_valid", "split")  # of any task
VISIBILITY_SUFFIXES = ("_v", "_visible", "_visibility")

_LISTED = 20
_ALIKE = 0.8  # of difflib's ratio: is_vaild and is_valid have 0.86
_SYNONYMS = {
    **dict.fromkeys(("valid", "val", "validation", "isval", "isvalidation"), "is_valid"),
    **dict.fromkeys(("subset", "partition", "set", "phase", "usage"), "split"),
    **dict.fromkeys(("person", "personid", "subject", "subjectid", "patient", "patientid", "identity"), "group"),
}
_COORDINATE = re.compile(
    r"(?P<name>.*[^XY_ .\-])(?P<apart>[_ .\-]*)(?P<axis>[xyXY])|(?P<axis_first>[xyXY])[_ .\-]+(?P<rest>.+)"
)


def unused_columns(
    path: Path, columns: Iterable[str], labels: Sequence[str], points: Sequence[str], *, only_near_misses: bool
) -> list[Problem]:
    """Return one doubt that names the columns which nobody reads; none where all are read.

    Args:
        path: the table's file.
        columns: what stands in its header.
        labels: the columns that the table of labels has beside `ROW_COLUMNS`; empty for points.
        points: the names of its points; empty for labels.
        only_near_misses: name those alone that are nearly like another: of the others a splitter may make use.
    """
    columns = [column for column in columns if column != FILE]
    known = [*ROW_COLUMNS, *labels, *(f"{name}{end}" for name in points for end in ("_x", "_y", *VISIBILITY_SUFFIXES))]
    unused = [column for column in columns if column and column not in known]  # pandas writes its index without a name
    missing = [name for name in (*ROW_COLUMNS, *labels) if name not in columns]
    nearest = {column: _nearest(column, missing, points, of_points=not labels) for column in unused}
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


def coordinate_column(column: str) -> str | None:
    """Return `nose_x` for `nose_X`, `noseX`, `nose.x` or `x_nose`; None where no coordinate is meant."""
    found = _COORDINATE.fullmatch(column.strip())
    if found is None:
        return None
    if found["axis_first"]:
        return f"{found['rest']}_{found['axis_first'].lower()}"
    if not found["apart"] and found["axis"].islower():  # an index, a category
        return None
    return f"{found['name']}_{found['axis'].lower()}"


def _nearest(column: str, missing: Sequence[str], points: Sequence[str], *, of_points: bool) -> str | None:
    plain = {plain_name(name): name for name in missing}
    synonym = _SYNONYMS.get(plain_name(column))
    if synonym in missing:
        return synonym
    close = difflib.get_close_matches(plain_name(column), plain, n=1, cutoff=_ALIKE)
    if close:
        return plain[close[0]]
    for name in sorted(points, key=len, reverse=True):
        rest = plain_name(column).removeprefix(plain_name(name))
        if rest != plain_name(column):
            endings = {plain_name(ending): ending for ending in VISIBILITY_SUFFIXES}
            ending = difflib.get_close_matches(rest, endings, n=1)
            if ending:
                return f"{name}{endings[ending[0]]}"
    return coordinate_column(column) if of_points else None
