"""The boxes around CVAT's shapes."""

import math
from collections.abc import Sequence
from pathlib import Path

from lightning_tasks.data.tables.formats.annotations import Box
from lightning_tasks.data.tables.formats.xml_lines import Element, number, place
from lightning_tasks.errors import TableError

SHAPES = ("box", "polygon", "polyline", "ellipse", "cuboid", "mask")
LEFT_OUT = {  # of which the box alone is kept
    "polygon": "outlines of polygons",
    "polyline": "lines of polylines",
    "ellipse": "outlines of ellipses",
    "cuboid": "corners of cuboids",
    "mask": "masks",
}
_CORNERS = [(f"x{corner}{side}", f"y{corner}{side}") for corner in ("tl", "bl", "tr", "br") for side in (1, 2)]


def box_of(path: Path, element: Element) -> Box:
    """Return the upright box around a shape.

    Raises:
        TableError: something is missing, is no number, or is upside down.
    """

    def read(*names: str) -> list[float]:
        return [number(path, element, name, element.attributes.get(name)) for name in names]

    if element.tag == "box":
        x0, y0, x1, y1 = read("xtl", "ytl", "xbr", "ybr")
        if x0 > x1 or y0 > y1:
            where = f"{place(path, element)}: the box goes from ({x0:g}, {y0:g}) to ({x1:g}, {y1:g})"
            raise TableError(f"{where}: xbr and ybr are the larger ones. Correct it, or export it again.")
        return _turned(((x0 + x1) / 2, (y0 + y1) / 2), (x1 - x0) / 2, (y1 - y0) / 2, _turn(path, element))
    if element.tag == "ellipse":
        cx, cy, rx, ry = read("cx", "cy", "rx", "ry")
        cos, sin = math.cos(_turn(path, element)), math.sin(_turn(path, element))
        return _around((cx, cy), math.hypot(rx * cos, ry * sin), math.hypot(rx * sin, ry * cos))
    if element.tag == "mask":
        left, top, width, height = read("left", "top", "width", "height")
        return Box(left, top, left + width, top + height)
    if element.tag == "cuboid":
        return _bounds([(x, y) for x_name, y_name in _CORNERS for x, y in [read(x_name, y_name)]])
    return _bounds(positions(path, element))


def positions(path: Path, element: Element) -> list[tuple[float, float]]:
    """Return the positions of `points="x,y;x,y"`; TableError: they are none."""
    text = element.attributes.get("points", "")
    found = []
    for pair in text.split(";"):
        x, comma, y = pair.partition(",")
        if not comma:
            what = f"{place(path, element)}: <{element.tag}>: points is {text[:40]!r}, not x,y;x,y"
            raise TableError(f"{what}. Correct it, or export it again.")
        found.append((number(path, element, "an x of points", x), number(path, element, "a y of points", y)))
    return found


def _turn(path: Path, element: Element) -> float:
    """Return how far a shape is turned clockwise, in radians."""
    return math.radians(number(path, element, "rotation", element.attributes.get("rotation", "0")))


def _turned(centre: tuple[float, float], half_width: float, half_height: float, turn: float) -> Box:
    cos, sin = abs(math.cos(turn)), abs(math.sin(turn))
    return _around(centre, half_width * cos + half_height * sin, half_width * sin + half_height * cos)


def _around(centre: tuple[float, float], half_width: float, half_height: float) -> Box:
    x, y = centre
    return Box(x - half_width, y - half_height, x + half_width, y + half_height)


def _bounds(corners: Sequence[tuple[float, float]]) -> Box:
    xs, ys = zip(*corners, strict=True)
    return Box(min(xs), min(ys), max(xs), max(ys))
