"""Shapes that annotation tools draw, as objects: of an outline its box and its area, of single points a named set."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from lightning_tasks.data.tables.formats.annotations import ABSENT, SEEN, AnnotatedObject, Box
from lightning_tasks.data.tables.formats.json_values import refuse

Point = tuple[float, float]  # x, y

_NONE = (0.0, 0.0, ABSENT)


@dataclass
class Shape:
    """An object, while its points are collected."""

    label: str = ""
    box: Box | None = None
    area_px2: float | None = None
    points: dict[str, Point] = field(default_factory=dict)

    def add_point(self, name: str, position: Point, where: str, way_out: str) -> None:
        """Take in a point; TableError: there is one of this name. `way_out` tells how objects are held apart."""
        if name in self.points:
            refuse(where, f"a second point {name!r} of one object. {way_out}")
        self.points[name] = position


def names_of_points(shapes: Iterable[Shape]) -> tuple[str, ...]:
    """Return the names of all points, in the order in which they come."""
    return tuple(dict.fromkeys(name for shape in shapes for name in shape.points))


def as_object(shape: Shape, names: Sequence[str]) -> AnnotatedObject:
    """Return the object, with a place for each of `names`; a point that it lacks is absent, the others are seen."""
    points = [number for name in names for number in ((*shape.points[name], SEEN) if name in shape.points else _NONE)]
    return AnnotatedObject(shape.label, shape.box, points if shape.points else (), shape.area_px2)


def box_around(points: Sequence[Point]) -> Box:
    """Return the box around some points."""
    xs, ys = zip(*points, strict=True)
    return Box(min(xs), min(ys), max(xs), max(ys))


def polygon_area_px2(points: Sequence[Point]) -> float:
    """Return the area that a polygon encloses, by the shoelace formula."""
    pairs = zip(points, [*points[1:], points[0]], strict=True)
    return abs(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairs)) / 2


def polygon(label: str, points: Sequence[Point]) -> Shape:
    """Return a polygon's object."""
    return Shape(label, box_around(points), polygon_area_px2(points))


def ellipse(label: str, centre: Point, radii: Point, degrees: float = 0.0) -> Shape:
    """Return an ellipse's object; `degrees` that it is turned, clockwise as the y axis points down."""
    (x, y), (a, b), angle = centre, radii, math.radians(degrees)
    width = math.hypot(a * math.cos(angle), b * math.sin(angle))
    height = math.hypot(a * math.sin(angle), b * math.cos(angle))
    return Shape(label, Box(x - width, y - height, x + width, y + height), math.pi * a * b)
