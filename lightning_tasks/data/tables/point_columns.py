"""How the columns of points are called, and what a cell of visibility says."""

import re

from lightning_tasks.data.tables.cells import FALSE, TRUE

VISIBILITY_SUFFIXES = ("_v", "_visible", "_visibility")
_COORDINATE = re.compile(
    r"(?P<name>.*[^XY_ .\-])(?P<apart>[_ .\-]*)(?P<axis>[xyXY])|(?P<axis_first>[xyXY])[_ .\-]+(?P<rest>.+)"
)
# Of a cell of visibility: whether the point is annotated; -1 where the cell does not say.
VISIBILITY = {**dict.fromkeys(FALSE, 0), **dict.fromkeys((*TRUE, "2", "2.0"), 1), "": -1}


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
