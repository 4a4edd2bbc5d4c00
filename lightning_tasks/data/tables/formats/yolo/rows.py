"""The rows of a YOLO label file: a class, then numbers relative to the image's width and height.

`class cx cy w h` is a box, and with `px py` or `px py v` of each point behind it one of YOLO-pose; `class x y x y ...`
is an outline, of which the box around it is kept. Ultralytics lets a position lie up to 1% outside of the image, and so
does this. A point is absent where its v is 0, and without v where it is negative or exactly 0 0: converters write that
for points that they do not have, and Ultralytics does not draw them.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from lightning_tasks.data.tables.formats.annotations import ABSENT, HIDDEN, SEEN, Box
from lightning_tasks.data.tables.formats.text_lines import finite_number, utf8_lines
from lightning_tasks.errors import TableError

_OUTSIDE = 0.01  # of the image, as Ultralytics lets it pass
_BOX = 5  # numbers
AT_ZERO = "points at 0 0, which count as absent"


class Row(NamedTuple):
    """An object, its positions relative to the image."""

    class_id: int
    box: Box
    points: tuple[float, ...] = ()  # x, y, visibility of each


class Labels(NamedTuple):
    """What a label file says."""

    rows: list[Row]
    left_out: Counter[str]
    widths: set[int]  # how many numbers its outlines have, the class among them


class RowReader(NamedTuple):
    """Reads label files of one data set.

    Args:
        names: of the classes; empty: none are given, and every class is let pass.
        points: how many points an object has, and how many numbers each; None: these are no points.
    """

    names: Mapping[int, str]
    points: tuple[int, int] | None

    def read(self, path: Path) -> Labels:
        """Return what a file says; TableError: it cannot be used; names the line."""
        labels = Labels([], Counter(), set())
        seen: set[tuple[float, ...]] = set()
        for number, line in enumerate(utf8_lines(path, "Export it again."), start=1):
            if not line.strip():
                continue
            where = f"{path}: line {number}"
            numbers = tuple(_number(where, cell) for cell in line.split())
            if numbers in seen:
                labels.left_out["rows that stand twice"] += 1
                continue
            seen.add(numbers)
            labels.rows.append(self._row(where, numbers, labels))
        return labels

    def _row(self, where: str, numbers: tuple[float, ...], labels: Labels) -> Row:
        class_id, n = self._class(where, numbers[0]), len(numbers)
        if self.points is None and n > _BOX + 1 and n % 2:
            labels.left_out["outlines"] += 1
            labels.widths.add(n)
            return Row(class_id, _around(where, numbers[1:]))
        expected = _BOX if self.points is None else _BOX + self.points[0] * self.points[1]
        if n not in (expected, expected + 1):
            raise TableError(f"{where}: {n} numbers, {self._expected(expected)}")
        if n > expected:
            labels.left_out["confidences of predictions"] += 1
        points = () if self.points is None else _points(where, numbers[_BOX:expected], self.points[1], labels)
        return Row(class_id, _box(where, numbers[1:_BOX]), points)

    def _class(self, where: str, number: float) -> int:
        if number < 0 or number != int(number):
            raise TableError(f"{where}: the class is {number:g}, not 0, 1, 2 ... Correct it, or export it again.")
        if self.names and int(number) not in self.names:
            known = f"there are {len(self.names)} names, {min(self.names)} to {max(self.names)}"
            raise TableError(f"{where}: there is no class {number:g}: {known}. Correct it, or add its name.")
        return int(number)

    def _expected(self, n: int) -> str:
        if self.points is None:
            return (
                "and 'class cx cy w h' are 5, an outline's are the class and pairs. Of points, kpt_shape in "
                "data.yaml must say how many there are."
            )
        count, dims = self.points
        return f"and kpt_shape [{count}, {dims}] in data.yaml wants {n}: class cx cy w h and {dims} of each point."


def looks_like_rows(text: str) -> bool:
    """Return whether a text's first line is that of a label file."""
    cells = next((line.split() for line in text.splitlines() if line.strip()), [])
    try:
        first, *others = map(float, cells)
    except ValueError:
        return False
    in_range = (-_OUTSIDE <= number <= 1 + _OUTSIDE for number in others[:4])
    return len(others) >= _BOX - 1 and first == int(first) >= 0 and all(in_range)


def _number(where: str, cell: str) -> float:
    number = finite_number(cell)
    if number is None:
        raise TableError(f"{where}: {cell!r} is no number. Correct it, or export it again.")
    return number


def _require_inside(where: str, what: str, number: float) -> None:
    if not -_OUTSIDE <= number <= 1 + _OUTSIDE:
        raise TableError(
            f"{where}: {what} is {number:g}, and relative to the image it is 0 to 1. Correct it; pixels are to be "
            "divided by the image's width and height."
        )


def _box(where: str, numbers: tuple[float, ...]) -> Box:
    for what, number in zip(("cx", "cy", "w", "h"), numbers, strict=True):
        _require_inside(where, what, number)
    cx, cy, width, height = numbers
    if width < 0 or height < 0:
        raise TableError(f"{where}: the box is {width:g} by {height:g}. Correct it, or export it again.")
    return Box(cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2)


def _around(where: str, numbers: tuple[float, ...]) -> Box:
    for number in numbers:
        _require_inside(where, "a position", number)
    xs, ys = numbers[::2], numbers[1::2]
    return Box(min(xs), min(ys), max(xs), max(ys))


def _points(where: str, numbers: tuple[float, ...], dims: int, labels: Labels) -> tuple[float, ...]:
    found: list[float] = []
    for i in range(0, len(numbers), dims):
        x, y = numbers[i : i + 2]
        visibility = numbers[i + 2] if dims == 3 else ABSENT if (x < 0 or y < 0 or (x, y) == (0, 0)) else SEEN
        if visibility not in (ABSENT, HIDDEN, SEEN):
            what = f"{where}: point {i // dims}: its v is {visibility:g}, not 0 (absent), 1 (hidden) or 2 (seen)"
            raise TableError(f"{what}. A model's predictions have confidences there: write what they mean.")
        if dims == 2 and (x, y) == (0, 0):
            labels.left_out[AT_ZERO] += 1
        if visibility or dims == 2:
            _require_inside(where, f"x of point {i // dims}", x)
            _require_inside(where, f"y of point {i // dims}", y)
        found += (x, y, visibility) if visibility else (0.0, 0.0, ABSENT)
    return tuple(found)
