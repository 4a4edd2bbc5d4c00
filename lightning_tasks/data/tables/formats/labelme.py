"""LabelMe's json files, one an image.

After LabelMe's own label_file.py and examples: positions are pixels of the image turned upright by EXIF; `imagePath` is
seen from the json file. `flags` that are true are labels of the image. A `point`'s label is the point's name, and its
`group_id` says of which object; a rectangle or an outline of the same group gives that object its label and box.
"""

import math
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning_tasks.data.tables.formats import shapes
from lightning_tasks.data.tables.formats.annotations import AnnotatedImage, Annotations
from lightning_tasks.data.tables.formats.image_names import plain_name
from lightning_tasks.data.tables.formats.images import ImagesNear, from_one_folder
from lightning_tasks.data.tables.formats.json_values import as_finites, as_list, as_name, as_object, refuse, shown
from lightning_tasks.data.tables.formats.reader import Reader, ReadOptions
from lightning_tasks.data.tables.formats.shapes import Point, Shape
from lightning_tasks.data.tables.formats.source import Source, require_json
from lightning_tasks.data.tables.formats.stated_sizes import stated_size
from lightning_tasks.errors import TableError
from lightning_tasks.filesystem import is_file

_LOOKED_AT = 20  # of the json files in a folder, to know them
_SHAPES = re.compile(r'"shapes"\s*:\s*\[')
_BEFORE_SHAPES = re.compile(r'"image(Data|Path)"\s*:')  # where the keys are sorted
_ANY = math.inf
_N_POINTS = {  # the fewest and the most
    **dict.fromkeys(("circle", "line", "mask"), (2, 2)),
    **{"point": (1, 1), "rectangle": (2, 4), "polygon": (3, _ANY), "linestrip": (2, _ANY)},
}
_IGNORE = "__ignore__"  # LabelMe's word for what is not to be looked at
_WAY_OUT = "Give each object's points a group_id of their own in LabelMe"


class LabelMe(Reader):
    """LabelMe's json files."""

    name = "labelme"
    about = "LabelMe json: flags, points, boxes"

    def recognises(self, source: Source) -> bool:
        """Return whether one of the json files has LabelMe's shapes and path of the image."""
        return any(_looks_like(source, path) for path in source.with_ending(".json")[:_LOOKED_AT])

    def read(self, source: Source, options: ReadOptions) -> Annotations:
        """Return flags as labels of images, shapes as objects; what was drawn beyond boxes and points is left out."""
        left_out: Counter[str] = Counter()
        read: list[_File] = []
        for path in source.with_ending(".json"):
            if source.is_folder and not _may_be(source.head(path)):
                left_out["other json files"] += 1
            else:
                read.append(_File(path, left_out))
        files = [file for file in read if not file.is_ignored]
        left_out["images to be ignored"] += len(read) - len(files)
        if not files:
            raise TableError(f"{source.path}: there is no json file of LabelMe's that says something of an image.")
        flags = tuple(dict.fromkeys(flag for file in files for flag in file.flags))
        names = shapes.names_of_points(shape for file in files for shape in file.shapes)
        folder, found = _images(source, options, files)
        images: dict[str, AnnotatedImage] = {}
        for file, name in zip(files, found, strict=True):
            labels = [flag for flag, holds in file.flags.items() if holds]
            unknown = [flag for flag in flags if flag not in file.flags]
            objects = [shapes.as_object(shape, names) for shape in file.shapes]
            image = AnnotatedImage(name, str(file.path), labels, unknown, objects, size_px=file.size_px)
            if images.setdefault(name, image) is not image:
                refuse(str(file.path), f"imagePath is {name}, as in {images[name].where}")
        n = sum(len(image.objects) for image in images.values())
        what = f"LabelMe json, {len(files):,} file{'s' * (len(files) > 1)}: {n:,} objects"
        annotations = Annotations([*images.values()], folder, what, names, flags, left_out=left_out)
        held = sum(file.holds_image and not is_file(folder / name) for file, name in zip(files, found, strict=True))
        if held:
            annotations.notes.append(f"{held:,} images are in the json files alone: labelme_export_json takes one out")
        return annotations


def _may_be(head: str) -> bool:
    return head.lstrip()[:1] == "{" and bool(_SHAPES.search(head) or _BEFORE_SHAPES.search(head))


def _looks_like(source: Source, path: Path) -> bool:
    head = source.head(path)
    if not _may_be(head):
        return False
    content = source.json(path)
    if content is None:  # cut off
        return bool(_SHAPES.search(head) and '"shape_type"' in head)
    return isinstance(content.get("shapes"), list) and "imagePath" in content


class _File:
    """What a json file says."""

    def __init__(self, path: Path, left_out: Counter[str]) -> None:
        self.path = path
        content = as_object(require_json(path), str(path))
        self.flags = _flags(content.get("flags") or {}, f"{path}: flags")
        self.is_ignored = self.flags.pop(_IGNORE, False)
        self.holds_image = bool(content.get("imageData"))
        self.size_px = stated_size(content.get("imageWidth"), content.get("imageHeight"))
        self.name = plain_name(as_name(content.get("imagePath"), f"{path}: imagePath"))
        outlines: list[tuple[Any, Shape]] = []  # with their groups
        points: dict[Any, Shape] = {}  # by group
        for i, value in enumerate(as_list(content.get("shapes"), f"{path}: shapes")):
            where = f"{path}: shapes[{i}]"
            entry = as_object(value, where)
            label = as_name(entry.get("label"), f"{where}: label")
            kind, group = entry.get("shape_type") or "polygon", entry.get("group_id")
            if type(kind) is not str or (group is not None and type(group) not in (int, str)):
                refuse(where, f"its shape_type is {shown(kind)} and its group_id {shown(group)}")
            places = _points(entry.get("points"), kind, where)
            if label == _IGNORE:
                left_out["shapes to be ignored"] += 1
            elif kind == "point":
                points.setdefault(group, Shape()).add_point(label, places[0], where, _WAY_OUT)
            else:
                outlines.append((group, _outline(label, kind, places)))
                if kind != "rectangle":
                    left_out[f"outlines of the kind {kind}, but for their boxes"] += 1
        for group, shape in points.items():
            same = next((outline for key, outline in outlines if key == group and key is not None), None)
            if same is None:
                outlines.append((group, shape))
            else:
                same.points = shape.points
        self.shapes = [shape for _, shape in outlines]


def _flags(value: Any, where: str) -> dict[str, bool]:  # noqa: ANN401 - JSON
    flags = as_object(value, where)
    for flag, holds in flags.items():
        if not isinstance(holds, bool):
            refuse(where, f"{flag!r} is {shown(holds)}, neither true nor false")
    return flags


def _points(value: Any, kind: str, where: str) -> list[Point]:  # noqa: ANN401 - JSON
    places = as_list(value, f"{where}: points")
    fewest, most = _N_POINTS.get(kind, (1, _ANY))
    if not fewest <= len(places) <= most:
        refuse(f"{where}: points", f"a {kind} of {len(places)} points")
    pairs = (as_finites(place, 2, f"{where}: points[{i}]") for i, place in enumerate(places))
    return [(x, y) for x, y in pairs]


def _outline(label: str, kind: str, places: list[Point]) -> Shape:
    if kind == "circle":  # its centre, and a point that it goes through
        radius = math.dist(*places)
        return shapes.ellipse(label, places[0], (radius, radius))
    if kind == "polygon":
        return shapes.polygon(label, places)
    return Shape(label, shapes.box_around(places))


def _images(source: Source, options: ReadOptions, files: Sequence[_File]) -> tuple[Path, list[str]]:
    """Return the folder of the images, and of each file its image, seen from there."""
    names = [file.name for file in files]
    paths = [os.path.normpath(file.path.parent / file.name) for file in files]
    if options.images is None and any(map(is_file, paths)):
        return from_one_folder([(Path(path).parent, Path(path).name) for path in paths])
    folder, found = ImagesNear(source.folder, options.images).locate(names)
    return folder, [found[name] for name in names]
