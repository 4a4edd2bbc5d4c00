"""What VIA's attributes and regions say.

After VIA's user guide and its own exports: positions are pixels of the image, an ellipse's `theta` is in radians. An
attribute is text, or {"a": true} where several may be ticked.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from lightning_tasks.data.tables.formats import shapes
from lightning_tasks.data.tables.formats.annotations import Box
from lightning_tasks.data.tables.formats.json_values import as_finite, as_list, refuse, shown
from lightning_tasks.data.tables.formats.shapes import Shape
from lightning_tasks.data.tables.formats.via.entries import ViaImage

_WAY_OUT = "VIA does not say which points belong together, so an image may hold one object with points"


def words_of(value: Any, where: str) -> list[str]:  # noqa: ANN401 - whatever JSON holds
    """Return the words of an attribute: its text, or what is ticked."""
    if isinstance(value, str):
        return [value] if value.strip() else []
    if not isinstance(value, dict) or not all(isinstance(ticked, bool) for ticked in value.values()):
        refuse(where, f"{shown(value)} is neither text nor what is ticked")
    return [word for word, ticked in value.items() if ticked]


def shapes_of(image: ViaImage, key: str | None, left_out: Counter[str]) -> list[Shape]:
    """Return an image's objects; its points are of one."""
    points = Shape()
    outlines: list[Shape] = []
    for where, shape, attributes in image.regions:
        words = words_of(attributes.get(key or "", ""), f"{where}: region_attributes")
        if shape.get("name") == "point":
            if len(words) != 1:
                refuse(where, f"a point has {len(words)} names, not one (attribute {key!r})")
            x, y = _numbers(shape, ("cx", "cy"), where)
            points.add_point(words[0], (x, y), where, _WAY_OUT)
        else:
            outline = _outline(shape, where)
            left_out[f"outlines of the kind {shape['name']}, but for their boxes"] += shape["name"] != "rect"
            left_out["regions without a label"] += not words
            outlines += [Shape(word, outline.box, outline.area_px2) for word in words or [""]]
    return [*outlines, *([points] if points.points else [])]


def _numbers(shape: Mapping[str, Any], keys: Iterable[str], where: str) -> list[float]:
    return [as_finite(shape.get(key), f"{where}: {key}") for key in keys]


def _outline(shape: Mapping[str, Any], where: str) -> Shape:
    kind = shape.get("name")
    if kind == "rect":
        x, y, width, height = _numbers(shape, ("x", "y", "width", "height"), where)
        if min(width, height) < 0:
            refuse(where, "a rectangle of negative width or height")
        return Shape("", Box(x, y, x + width, y + height))
    if kind == "circle":
        x, y, radius = _numbers(shape, ("cx", "cy", "r"), where)
        return shapes.ellipse("", (x, y), (radius, radius))
    if kind == "ellipse":
        x, y, rx, ry, theta = _numbers({"theta": 0, **shape}, ("cx", "cy", "rx", "ry", "theta"), where)
        return shapes.ellipse("", (x, y), (rx, ry), math.degrees(theta))
    if kind not in ("polygon", "polyline"):
        refuse(where, f"a region of the shape {shown(kind)}")
    xs, ys = (as_list(shape.get(f"all_points_{axis}"), f"{where}: all_points_{axis}") for axis in "xy")
    if len(xs) != len(ys) or len(xs) < 2 + (kind == "polygon"):
        refuse(where, f"a {kind} of {len(xs)} x and {len(ys)} y")
    places = [(as_finite(x, where), as_finite(y, where)) for x, y in zip(xs, ys, strict=True)]
    return shapes.polygon("", places) if kind == "polygon" else Shape("", shapes.box_around(places))
