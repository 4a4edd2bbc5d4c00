"""Label Studio's JSON and JSON-MIN."""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from lightning_tasks.data.images.decode import file_size_px
from lightning_tasks.data.tables.formats import shapes
from lightning_tasks.data.tables.formats.annotations import AnnotatedImage, Annotations
from lightning_tasks.data.tables.formats.images import ImagesNear
from lightning_tasks.data.tables.formats.json_values import as_list, refuse
from lightning_tasks.data.tables.formats.label_studio.records import (
    Record,
    Tally,
    records_of_json,
    records_of_json_min,
)
from lightning_tasks.data.tables.formats.label_studio.results import Results, Size, read_results
from lightning_tasks.data.tables.formats.reader import Reader, ReadOptions
from lightning_tasks.data.tables.formats.source import Source, require_json
from lightning_tasks.errors import TableError

_LOOKED_AT = 20  # of the json files in a folder, to know them
_CUT_OFF = re.compile(r'^\s*\[\s*\{.*"(result|annotation_id)"\s*:', re.DOTALL)


class LabelStudio(Reader):
    """Label Studio's JSON and JSON-MIN."""

    name = "label-studio"
    about = "Label Studio JSON, JSON-MIN: choices, points, boxes, numbers"
    reads_columns = True

    def recognises(self, source: Source) -> bool:
        """Return whether a json file is a list of tasks, or of JSON-MIN's records."""
        return any(_looks_like(source, path) for path in source.with_ending(".json")[:_LOOKED_AT])

    def read(self, source: Source, options: ReadOptions) -> Annotations:
        """Return choices and taxonomies as labels of images, numbers and ratings as values, regions as objects."""
        paths = [path for path in source.with_ending(".json") if not source.is_folder or _looks_like(source, path)]
        if not paths:
            raise TableError(f"{source.path}: there is no json file of Label Studio's in it.")
        tally = Tally()
        records: list[Record] = []
        for path in paths:
            content = source.json(path) or require_json(path)
            entries = as_list([content] if _is_task(content) else content, str(path))
            is_min = bool(entries) and not _is_task(entries[0])
            records += (records_of_json_min if is_min else records_of_json)(path, entries, options.columns, tally)
        folder, found = ImagesNear(source.folder, options.images).locate(record.image for record in records)
        images: dict[str, tuple[Record, Results]] = {}
        for record in records:
            name = found[record.image]
            results = read_results(record.results, record.where, partial(_size, folder / name), tally.left_out)
            if images.setdefault(name, (record, results))[0] is not record:
                refuse(record.where, f"the image {name} is that of {images[name][0].where}")
        n = f"{len(paths)} file{'s' * (len(paths) > 1)}"
        return _annotations(images, folder, f"Label Studio JSON, {n}: {len(images):,} images", tally)


def _looks_like(source: Source, path: Path) -> bool:
    if not source.head(path).lstrip().startswith(("[", '{"')):
        return False
    content = source.json(path)
    if content is None:
        return bool(_CUT_OFF.match(source.head(path)))
    first = content[0] if isinstance(content, list) and content else content
    is_min = isinstance(content, list) and isinstance(first, dict) and "annotation_id" in first and "data" not in first
    return is_min or _is_task(first)


def _is_task(entry: Any) -> bool:  # noqa: ANN401 - whatever JSON holds
    """Return whether this is a task, with the data that was annotated and the annotations; or predictions alone."""
    if not isinstance(entry, dict) or not isinstance(entry.get("data"), dict):
        return False
    return any(isinstance(entry.get(key), list) for key in ("annotations", "completions", "predictions"))


def _size(path: Path) -> Size | None:
    size = file_size_px(path)
    return None if size is None else (size[1], size[0])


def _annotations(images: Mapping[str, tuple[Record, Results]], folder: Path, found: str, tally: Tally) -> Annotations:
    names = shapes.names_of_points(shape for _, results in images.values() for shape in results.shapes)
    of_controls: dict[str, set[str]] = {}  # the words that a control has for labels
    for _, results in images.values():
        for control, labels in results.labels.items():
            of_controls.setdefault(control, set()).update(labels)
    words = [word for of_control in of_controls.values() for word in of_control]
    several_say_it = len(words) > len(set(words))
    if several_say_it:
        tally.notes[f"{', '.join(of_controls)} have words in common: labels are written as control/word"] = None
    annotated = [
        AnnotatedImage(
            name,
            record.where,
            [f"{control}/{word}" if several_say_it else word for control, of in results.labels.items() for word in of],
            (),
            [shapes.as_object(shape, names) for shape in results.shapes],
            results.values,
            size_px=results.size_px,
        )
        for name, (record, results) in images.items()
    ]
    value_names = tuple(dict.fromkeys(name for _, results in images.values() for name in results.values))
    return Annotations(
        *(annotated, folder, found, names),
        value_names=value_names,
        left_out=tally.left_out,
        notes=list(tally.notes),
    )
