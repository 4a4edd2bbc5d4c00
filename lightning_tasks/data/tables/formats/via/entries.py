"""The images that VIA's JSON or csv lists, as they stand there."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightning_tasks.data.tables.csv_table import read_cells
from lightning_tasks.data.tables.formats.json_values import as_list, as_name, as_object, refuse, shown
from lightning_tasks.errors import TableError

COLUMNS = (
    *("filename", "file_size", "file_attributes", "region_count", "region_id"),
    *("region_shape_attributes", "region_attributes"),
)


@dataclass
class ViaImage:
    """An image."""

    where: str  # file and entry
    name: str
    attributes: Mapping[str, Any]
    regions: list[tuple[str, dict[str, Any], dict[str, Any]]] = field(default_factory=list)  # where, shape, attributes


def metadata_of(content: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Return the images of VIA 2's project, or of the annotations that it exports; None: it is neither."""
    if not isinstance(content, dict):
        return None
    if "_via_img_metadata" in content:
        return content["_via_img_metadata"]
    first = next(iter(content.values()), None)
    return content if isinstance(first, dict) and "filename" in first and "regions" in first else None


def is_via_3(content: Any) -> bool:  # noqa: ANN401 - JSON
    """Return whether this is a project of VIA 3."""
    return (
        isinstance(content, dict) and {"project", "config", "attribute", "file", "view", "metadata"} <= content.keys()
    )


def images_of_json(path: Path, metadata: Any) -> list[ViaImage]:  # noqa: ANN401 - JSON
    """Return the images of JSON; TableError: an entry cannot be used."""
    images = []
    for key, value in as_object(metadata, f"{path}: _via_img_metadata").items():
        where = f"{path}: {key}"
        entry = as_object(value, where)
        name = as_name(entry.get("filename"), f"{where}: filename")
        image = ViaImage(where, name, as_object(entry.get("file_attributes", {}), f"{where}: file_attributes"))
        regions = entry.get("regions")
        for i, region in enumerate(
            regions.values() if isinstance(regions, dict) else as_list(regions, f"{where}: regions")
        ):
            place = f"{where}: regions[{i}]"
            both = as_object(region, place)
            shape = as_object(both.get("shape_attributes"), f"{place}: shape_attributes")
            image.regions.append(
                (place, shape, as_object(both.get("region_attributes", {}), f"{place}: region_attributes"))
            )
        images.append(image)
    return images


def is_via_csv(head: str) -> bool:
    """Return whether a table's beginning has VIA's columns."""
    return head.partition("\n")[0].strip().removeprefix("#").split(",") == list(COLUMNS)


def images_of_csv(path: Path) -> list[ViaImage]:
    """Return the images of VIA's csv, which has a row for each region; TableError: a row cannot be used."""
    images: dict[str, ViaImage] = {}
    counts: dict[str, tuple[str, str]] = {}  # of an image: its size and its number of regions
    for number, cells in enumerate(read_cells(path)[1:], start=2):
        where = f"{path}: row {number}"
        if len(cells) != len(COLUMNS):
            refuse(where, f"it has {len(cells)} cells, not {len(COLUMNS)}")
        name, size, attributes, count, _, shape, of_region = cells
        image = images.get(name)
        if image is None:
            image = images[name] = ViaImage(
                where, as_name(name, where), _json_cell(attributes, f"{where}: file_attributes")
            )
            counts[name] = size, count
        elif counts[name] != (size, count):
            refuse(where, f"{name} has another file_size or region_count than in {image.where}")
        if shape_attributes := _json_cell(shape, f"{where}: region_shape_attributes"):
            image.regions.append((where, shape_attributes, _json_cell(of_region, f"{where}: region_attributes")))
    for name, (_, count) in counts.items():
        if count != str(len(images[name].regions)):
            refuse(
                images[name].where, f"its region_count is {count}, but {len(images[name].regions)} rows have a region"
            )
    return list(images.values())


def _json_cell(cell: str, where: str) -> dict[str, Any]:
    try:
        return as_object(json.loads(cell), where)
    except ValueError as error:
        raise TableError(f"{where}: {shown(cell)} is not JSON ({error}). Export the file again.") from error
