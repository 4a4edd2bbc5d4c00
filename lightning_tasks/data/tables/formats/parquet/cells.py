"""The columns of a Hugging Face data set's parquet as cells of text, which are then read as any table's."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning_tasks.errors import TableError

_LISTS = ("Sequence", "List", "LargeList")
_NOT_GIVEN = -1  # of ClassLabel, in a test split whose labels are kept secret
BOX_COLUMNS = ("bbox_x", "bbox_y", "bbox_width", "bbox_height")  # COCO's, as Hugging Face's documentation has them


def names_of_classes(feature: Any) -> list[str] | None:  # noqa: ANN401 - JSON
    """Return the names of a ClassLabel, or of a list of them; None: it is none."""
    if isinstance(feature, list) and len(feature) == 1:
        feature = feature[0]
    if not isinstance(feature, Mapping):
        return None
    if feature.get("_type") == "ClassLabel":
        return [str(name) for name in feature.get("names") or []]
    return names_of_classes(feature.get("feature")) if feature.get("_type") in _LISTS else None


def is_image(feature: Any, kind: str) -> bool:  # noqa: ANN401 - JSON
    """Return whether a column holds images: it is declared so, or is made of bytes."""
    declared = isinstance(feature, Mapping) and feature.get("_type") == "Image"
    return declared or kind in ("binary", "large_binary") or kind.startswith("struct<bytes: ")


def objects_of(feature: Any) -> tuple[str, list[str]] | None:  # noqa: ANN401 - JSON
    """Return which key of a column of objects holds their classes, and these; None: they have no box, or no class."""
    while isinstance(feature, Mapping) and feature.get("_type") in _LISTS:
        feature = feature.get("feature")
    if isinstance(feature, list) and len(feature) == 1:
        feature = feature[0]
    if not isinstance(feature, Mapping) or "bbox" not in feature:
        return None
    found = ((key, names_of_classes(value)) for key, value in feature.items())
    return next(((key, names) for key, names in found if names), None)


def class_cells(path: Path, column: str, values: Sequence[Any], names: Sequence[str]) -> list[str | None]:
    """Return the labels of each row, as a list in JSON; None: not given. TableError: there is no such class."""
    cells: list[str | None] = []
    for row, value in enumerate(values, 1):
        ids = value if isinstance(value, list) else [value]
        if value is None or _NOT_GIVEN in ids:
            cells.append(None)
            continue
        cells.append(json.dumps([name_of(path, column, row, number, names) for number in ids], ensure_ascii=False))
    return cells


def name_of(path: Path, column: str, row: int, number: Any, names: Sequence[str]) -> str:  # noqa: ANN401 - any type
    """Return the name of a class; TableError: there is none of this number."""
    if isinstance(number, str) and number in names:
        return number
    if not isinstance(number, int) or not 0 <= number < len(names):
        raise TableError(f"{path}: row {row}, column {column!r}: there is no class {number}; it has {len(names)}.")
    return names[number]


def text_cells(values: Iterable[Any]) -> list[str] | None:
    """Return what each row says as text; None: there is more than text, numbers and lists of words in it."""
    cells = []
    for value in values:
        if value is None or (isinstance(value, float) and value != value):
            cells.append("")
        elif isinstance(value, bool):
            cells.append(str(int(value)))
        elif isinstance(value, list) and all(isinstance(part, str | int) for part in value):
            cells.append(json.dumps(list(map(str, value)), ensure_ascii=False))
        elif isinstance(value, list | dict | bytes):
            return None
        else:
            cells.append(repr(value) if isinstance(value, float) else str(value))
    return cells


def box_rows(path: Path, column: str, row: int, objects: Any, key: str, names: Sequence[str]) -> list[list[str]]:  # noqa: ANN401 - as it is stored
    """Return the label and the four numbers of each object of a row; one row without any where there is none.

    Raises:
        TableError: there are not as many boxes as classes, a box has not four numbers, or there is no such class.
    """
    if isinstance(objects, Mapping):
        boxes, ids = list(objects["bbox"] or []), list(objects[key] or [])
    else:
        boxes, ids = [thing["bbox"] for thing in objects or []], [thing[key] for thing in objects or []]
    if len(boxes) != len(ids) or any(box is None or len(box) != len(BOX_COLUMNS) for box in boxes):
        raise TableError(f"{path}: row {row}, column {column!r}: each class needs a box of four numbers. Correct it.")
    found = [
        [name_of(path, column, row, number, names), *map(repr, box)] for box, number in zip(boxes, ids, strict=True)
    ]
    return found or [[""] * (1 + len(BOX_COLUMNS))]
