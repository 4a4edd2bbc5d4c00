"""VGG Image Annotator 2: its project, and the annotations that it exports as JSON or csv.

One attribute of the regions holds their labels and the points' names, one of the files the images' labels.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning_tasks.data.tables.formats import shapes
from lightning_tasks.data.tables.formats.annotations import AnnotatedImage, Annotations
from lightning_tasks.data.tables.formats.image_names import split_of_folder
from lightning_tasks.data.tables.formats.images import ImagesNear, from_one_folder
from lightning_tasks.data.tables.formats.json_values import refuse
from lightning_tasks.data.tables.formats.reader import Reader, ReadOptions
from lightning_tasks.data.tables.formats.source import Source, require_json
from lightning_tasks.data.tables.formats.via.entries import (
    ViaImage,
    images_of_csv,
    images_of_json,
    is_via_3,
    is_via_csv,
    metadata_of,
)
from lightning_tasks.data.tables.formats.via.regions import shapes_of, words_of
from lightning_tasks.errors import TableError

_LOOKED_AT = 20  # of the json files in a folder, to know them
_USUAL = ("label", "labels", "class", "name", "type", "category")  # attributes' names that say what a region is
_NO_LABELS = ("caption", "public_domain", "image_url")  # attributes of files that VIA's own projects begin with


class Via(Reader):
    """VIA 2's project, JSON and csv."""

    name = "via"
    about = "VGG Image Annotator 2, JSON or csv: regions, file attributes"
    reads_columns = True

    def recognises(self, source: Source) -> bool:
        """Return whether a file has VIA's images, or is a project of VIA 3, which is refused."""
        return any(_looks_like(source, path) for path in source.with_ending(".json", ".csv")[:_LOOKED_AT])

    def read(self, source: Source, options: ReadOptions) -> Annotations:
        """Return file attributes as labels of images, regions as objects, points with their names."""
        paths = [
            path for path in source.with_ending(".json", ".csv") if not source.is_folder or _looks_like(source, path)
        ]
        used = [path for path in paths if path.suffix.lower() == ".json"] or paths
        if not used:
            raise TableError(f"{source.path}: there is no file of VIA's in it.")
        tally = _Tally()
        tally.left_out["csv files beside VIA's json"] += len(paths) - len(used)
        listed = {path: _listed(source, path) for path in used}
        images = [image for of_path in listed.values() for image in of_path]
        told = options.columns.get("labels")
        of_regions = [attributes for image in images for _, _, attributes in image.regions]
        of_files = [image.attributes for image in images]
        if told is not None and not any(attributes.get(told) for attributes in (*of_regions, *of_files)):
            raise TableError(f"{used[0]}: no region and no file has the attribute {told!r} (--columns).")
        region_key = tally.label_attribute(used[0], "regions", of_regions, told)
        file_key = tally.label_attribute(used[0], "files", of_files, told)
        drawn = [shapes_of(image, region_key, tally.left_out) for image in images]
        names = shapes.names_of_points(shape for of_image in drawn for shape in of_image)
        folder, found = _find(listed, options.images)
        splits = [split_of_folder(path.parent.name) for path, of_path in listed.items() for _ in of_path]
        annotated: dict[str, AnnotatedImage] = {}
        for image, name, of_image, split in zip(images, found, drawn, splits, strict=True):
            labels = words_of(image.attributes.get(file_key or "", ""), f"{image.where}: file_attributes")
            objects = [shapes.as_object(shape, names) for shape in of_image]
            one = AnnotatedImage(name, image.where, labels, (), objects, split=split if len(set(splits)) > 1 else "")
            if annotated.setdefault(name, one) is not one:
                refuse(image.where, f"the image {name} is in {annotated[name].where} already")
        n = f"{len(used)} file{'s' * (len(used) > 1)}: {len(images):,} images, {sum(map(len, drawn)):,} objects"
        return Annotations(
            *([*annotated.values()], folder, f"VGG Image Annotator, {n}", names),
            left_out=tally.left_out,
            notes=tally.notes,
        )


class _Tally:
    """What a person is told of the files."""

    def __init__(self) -> None:
        self.left_out: Counter[str] = Counter()
        self.notes: list[str] = []

    def label_attribute(
        self, path: Path, what: str, attributes: Sequence[Mapping[str, Any]], told: str | None
    ) -> str | None:
        """Return the attribute that holds labels; None: none does. TableError: it might be one of several."""
        filled = Counter(key for one in attributes for key, value in one.items() if value)
        usual = [key for key in filled if key.lower() in _USUAL]
        likely = [key for key in filled if key.lower() not in _NO_LABELS]
        if told is not None:
            chosen = told if told in filled else None
        elif len(likely) <= 1 or len(usual) == 1:
            chosen = next(iter(usual or likely), None)
        else:
            way_out = f"--format via --columns 'labels={likely[0]}' says it"
            refuse(str(path), f"which attribute of {what} is the label: {', '.join(likely)}? {way_out}")
        if chosen is not None and len(filled) > 1:
            self.notes.append(f"the label is the attribute {chosen!r} of {what}")
        for key in filled:
            self.left_out[f"attributes {key!r} of {what}"] += filled[key] * (key != chosen)
        return chosen


def _looks_like(source: Source, path: Path) -> bool:
    head = source.head(path)
    if path.suffix.lower() == ".csv":
        return is_via_csv(head)
    if not head.lstrip().startswith("{") or not ('"filename"' in head or '"_via' in head or '"view"' in head):
        return False
    content = source.json(path)
    return '"_via_img_metadata"' in head if content is None else is_via_3(content) or metadata_of(content) is not None


def _listed(source: Source, path: Path) -> list[ViaImage]:
    if path.suffix.lower() == ".csv":
        return images_of_csv(path)
    content = source.json(path)
    if content is None:
        content = require_json(path)
    if is_via_3(content):
        raise TableError(f"{path}: a project of VIA 3, which is not read. Annotate in VIA 2, or export it as COCO.")
    metadata = metadata_of(content)
    if metadata is None:
        raise TableError(f"{path}: it is no project and no export of VIA 2.")
    return images_of_json(path, metadata)


def _find(listed: Mapping[Path, Sequence[ViaImage]], given: Path | None) -> tuple[Path, list[str]]:
    """Return the folder of the images, and each one seen from there; a file's names start from around it."""
    places: list[tuple[Path, str]] = []
    for path, images in listed.items():
        folder, found = ImagesNear(path.parent, given).locate(image.name for image in images)
        places += [(folder, found[image.name]) for image in images]
    return from_one_folder(places)
