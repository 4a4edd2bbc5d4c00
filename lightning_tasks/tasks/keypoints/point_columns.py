"""The names of columns in a table of points, and what is nearly like them."""

import difflib
import re
from collections.abc import Sequence

from lightning_tasks.data.tables.csv_table import plain_name

VISIBILITY_SUFFIXES = ("_v", "_visible", "_visibility")

_COORDINATE = re.compile(
    r"(?P<name>.*[^XY_ .\-])(?P<apart>[_ .\-]*)(?P<axis>[xyXY])|(?P<axis_first>[xyXY])[_ .\-]+(?P<rest>.+)"
)


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


def column_meant_by(column: str, points: Sequence[str]) -> str | None:
    """Return which column of these points another is nearly called like; None: it is like none."""
    for name in sorted(points, key=len, reverse=True):
        ending = plain_name(column).removeprefix(plain_name(name))
        if ending != plain_name(column):
            suffixes = {plain_name(suffix): suffix for suffix in VISIBILITY_SUFFIXES}
            close = difflib.get_close_matches(ending, suffixes, n=1)
            if close:
                return f"{name}{suffixes[close[0]]}"
    return coordinate_column(column)
