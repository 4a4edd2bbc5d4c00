"""What a Label Studio annotation says of its image.

After "Units for image annotations" and the tags' "Result parameters" in Label Studio's documentation: x and width are
percents of `original_width`, y and height of `original_height`; a rectangle turns by `rotation` degrees, clockwise,
about its upper left corner, an ellipse about its centre. `image_rotation` is how the image was turned on the screen,
and no more: Label Studio draws its regions on the canvas that it turns, and its own test of turning demands that what
it exports stays the same.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lightning_tasks.data.tables.formats import shapes
from lightning_tasks.data.tables.formats.json_values import (
    as_finite,
    as_finites,
    as_list,
    as_name,
    as_names,
    as_object,
    refuse,
    shown,
)
from lightning_tasks.data.tables.formats.shapes import Point, Shape
from lightning_tasks.data.tables.formats.stated_sizes import stated_size

Size = tuple[float, float]  # width, height
_NUMBERS = ("number", "rating")
_PLACES = {"x", "points", "rle"}  # what a region has
_WAY_OUT = "Draw a rectangle for each object in Label Studio, and make its points that region's children (parentID)"


@dataclass
class Results:
    """What is said of an image, by the names that the labelling interface has for its controls."""

    labels: dict[str, list[str]] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)
    shapes: list[Shape] = field(default_factory=list)
    size_px: Size | None = None  # of the image; None: no region says it


def read_results(entries: list[Any], where: str, size_of: Callable[[], Size | None], left_out: Counter[str]) -> Results:
    """Return what an annotation's results say.

    Args:
        entries: the results.
        where: file and annotation, for messages.
        size_of: gives the width and the height of the image where they do not.
        left_out: counts what is not read.

    Raises:
        TableError: a result cannot be used; names it.
    """
    found = Results()
    regions: dict[Any, list[Shape]] = {}  # by their ids
    points: dict[Any, Shape] = {}  # by the id of the region that they are of
    all_results = [(f"{where}[{i}]", _checked(entry, f"{where}[{i}]")) for i, entry in enumerate(entries)]
    of_regions = {entry.get("id") for _, entry in all_results if _PLACES & _value(entry).keys()}
    sizes = (stated_size(entry.get("original_width"), entry.get("original_height")) for _, entry in all_results)
    found.size_px = next(filter(None, sizes), None)
    for place, entry in all_results:
        value = as_object(entry.get("value", {}), f"{place}: value")
        control = str(entry.get("from_name", ""))
        is_regions = entry.get("id") is not None and entry["id"] in of_regions
        if "choices" in value or "taxonomy" in value or any(key in value for key in _NUMBERS):
            if is_regions:
                left_out["choices and numbers of regions"] += 1
            else:
                _read_answer(found, control, value, place)
        elif (names := _labels(value, place)) is None:
            if not (is_regions and _is_bare(entry, all_results)):
                left_out[f"results of the type {entry.get('type') or next(iter(value), 'unknown')}"] += 1
        elif _is_point(value):
            if len(names) != 1:
                refuse(place, f"a point has {len(names)} labels, not one")
            at = _positions([(value.get("x"), value.get("y"))], entry, place, size_of)[0]
            points.setdefault(entry.get("parentID"), Shape()).add_point(names[0], at, place, _WAY_OUT)
        else:
            outline = _outline(value, entry, place, size_of, left_out)
            regions.setdefault(place if entry.get("id") is None else entry["id"], []).extend(
                Shape(name, outline.box, outline.area_px2) for name in names or [""]
            )
    for region, shape in points.items():
        if region is not None and region in regions:
            regions[region][0].points = shape.points
        else:
            found.shapes.append(shape)
    found.shapes[:0] = [shape for of_region in regions.values() for shape in of_region]
    return found


def _checked(value: Any, where: str) -> dict[str, Any]:  # noqa: ANN401 - JSON
    entry = as_object(value, where)
    for key in ("id", "parentID"):
        if not isinstance(entry.get(key), str | int | None):
            refuse(f"{where}: {key}", f"{shown(entry[key])} is neither text nor a number")
    return entry


def _value(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    value = entry.get("value")
    return value if isinstance(value, dict) else {}


def _read_answer(found: Results, control: str, value: Mapping[str, Any], where: str) -> None:
    """Take in an answer to a question about the image as a whole."""
    if "choices" in value:
        found.labels.setdefault(control, []).extend(as_names(value["choices"], f"{where}: choices"))
    if "taxonomy" in value:
        paths = as_list(value["taxonomy"], f"{where}: taxonomy")
        names = ("/".join(as_names(path, f"{where}: taxonomy")) for path in paths)
        found.labels.setdefault(control, []).extend(as_name(name, f"{where}: taxonomy") for name in names)
    for key in _NUMBERS:
        if key in value:
            if control in found.values:
                refuse(where, f"a second {key} of {control!r}")
            found.values[control] = as_finite(value[key], f"{where}: {key}")


def _labels(value: Mapping[str, Any], where: str) -> tuple[str, ...] | None:
    """Return a region's labels; None: it has no such field."""
    key = next((key for key in value if key.endswith("labels")), None)
    return None if key is None else as_names(value[key], f"{where}: {key}")


def _is_bare(entry: Mapping[str, Any], all_results: list[tuple[str, dict[str, Any]]]) -> bool:
    """Return whether a region's labels stand in another result, as `Rectangle` with `Labels` writes it."""
    others = (_value(other) for _, other in all_results if other is not entry and other.get("id") == entry["id"])
    return any(key.endswith("labels") for other in others for key in other)


def _is_point(value: Mapping[str, Any]) -> bool:
    return "x" in value and "y" in value and "height" not in value and "radiusX" not in value


def _size(entry: Mapping[str, Any], where: str, size_of: Callable[[], Size | None]) -> Size:
    if entry.get("image_rotation", 0) not in (0, 90, 180, 270):
        refuse(f"{where}: image_rotation", f"{shown(entry['image_rotation'])} is none of 0, 90, 180 and 270")
    if "original_width" in entry:
        width, height = (
            as_finite(entry.get(f"original_{side}"), f"{where}: original_{side}") for side in ("width", "height")
        )
    else:
        width, height = size_of() or refuse(where, "it has no original_width, and the image is not there to ask")
    return (width, height) if min(width, height) > 0 else refuse(where, f"the image has {width}×{height} pixels")


def _positions(
    percents: list[Any], entry: Mapping[str, Any], where: str, size_of: Callable[[], Size | None]
) -> list[Point]:
    """Return positions in pixels from those in percent."""
    width, height = _size(entry, where, size_of)
    pairs = (as_finites(list(pair), 2, f"{where}: position {i}") for i, pair in enumerate(percents))
    return [(x / 100 * width, y / 100 * height) for x, y in pairs]


def _outline(
    value: Mapping[str, Any],
    entry: Mapping[str, Any],
    where: str,
    size_of: Callable[[], Size | None],
    left_out: Counter[str],
) -> Shape:
    """Return a region's box and area."""
    degrees = as_finite(value.get("rotation", 0), f"{where}: rotation")
    if "radiusX" in value:
        centre, radii = _positions(
            [(value.get("x"), value.get("y")), (value["radiusX"], value.get("radiusY"))], entry, where, size_of
        )
        left_out["outlines of the kind ellipse, but for their boxes"] += 1
        return shapes.ellipse("", centre, radii, degrees)
    if "height" in value:
        (x, y), (width, height) = _positions(
            [(value.get("x"), value.get("y")), (value.get("width"), value["height"])], entry, where, size_of
        )
        if min(width, height) < 0:
            refuse(where, "a rectangle of negative width or height")
        cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        across, down = (width * cos, width * sin), (-height * sin, height * cos)
        corners = [(x + i * across[0] + j * down[0], y + i * across[1] + j * down[1]) for i in (0, 1) for j in (0, 1)]
        return Shape("", shapes.box_around(corners), width * height)
    if "points" in value:
        left_out["outlines of the kind polygon, but for their boxes"] += 1
        places = as_list(value["points"], f"{where}: points")
        if len(places) < 3:
            refuse(where, f"a polygon of {len(places)} points")
        return shapes.polygon("", _positions([as_list(place, where) for place in places], entry, where, size_of))
    left_out["brushed masks, but for their labels"] += 1
    return Shape()
