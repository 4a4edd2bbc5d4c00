"""COCO's json: boxes, points and labels of objects; one file, or a folder as COCO and Roboflow lay it out.

Files of a folder that list the same images are read together: an annotation (its id) that is in several counts once, so
that COCO's `instances` bring the labels of all classes and `person_keypoints` the points.
"""

import re
from pathlib import Path
from typing import Any

from lightning_tasks.data.tables.formats.annotations import Annotations
from lightning_tasks.data.tables.formats.coco.file import read_coco_file
from lightning_tasks.data.tables.formats.coco.files import CocoFiles
from lightning_tasks.data.tables.formats.reader import Reader, ReadOptions
from lightning_tasks.data.tables.formats.source import Source, require_json
from lightning_tasks.errors import TableError

_LOOKED_AT = 50  # of the json files in a folder: COCO's are few and large
_LISTS = re.compile(r'"(images|annotations|categories)"\s*:\s*\[')
_RESULT = re.compile(r'^\s*\[\s*\{[^{}]*"(image_id|category_id)"\s*:')
_ENTRY = re.compile(r'"(file_name|image_id|supercategory)"\s*:')
_NOT_READ = {
    "panoptic": "COCO's panoptic segmentation. Give the instances_*.json of these images",
    "captions": "COCO's captions, which are no labels. Give the instances_*.json of these images",
    "results": "COCO's results: predictions, which name no files. Give the annotations of these images",
    "": "not COCO's json: it has no list of images with their annotations",
}
_LEFT_OUT = {"coco": "images alone", "panoptic": "panoptic segments", "captions": "captions", "results": "results"}


class Coco(Reader):
    """COCO's json."""

    name = "coco"
    about = "COCO json: objects, keypoints"

    def recognises(self, source: Source) -> bool:
        """Return whether a json file has COCO's lists, or is cut off in one, or is one of its kinds that is refused."""
        return any(_looks_like(source, path) for path in source.with_ending(".json")[:_LOOKED_AT])

    def read(self, source: Source, options: ReadOptions) -> Annotations:
        """Return the labels of objects, their boxes and points; crowds too, which are marked."""
        paths = [path for path in source.with_ending(".json") if not source.is_folder or _looks_like(source, path)]
        contents = {path: source.json(path) or require_json(path) for path in paths}
        kinds = {path: _kind(content) for path, content in contents.items()}
        used = [path for path in paths if kinds[path] == "coco"]
        used = [path for path in used if "annotations" in contents[path]] or used
        if not used:
            path = paths[0] if paths else source.path
            raise TableError(f"{path}: {_NOT_READ[kinds.get(path, '')]}.")
        files = CocoFiles()
        for path in used:
            files.add(read_coco_file(path, contents[path]), options.images)
        annotations = files.annotations()
        others = [_LEFT_OUT[kinds[path]] for path in paths if path not in used]
        annotations.left_out.update(f"files of {what}" for what in others)
        return annotations


def _looks_like(source: Source, path: Path) -> bool:
    head = source.head(path)
    if not (_RESULT.match(head) or (head.lstrip()[:1] == "{" and _LISTS.search(head))):
        return False
    content = source.json(path)
    return bool(_ENTRY.search(head)) if content is None else bool(_kind(content))


def _kind(content: Any) -> str:  # noqa: ANN401 - whatever JSON holds
    """Return which of COCO's kinds of json this is: coco, or one of `_NOT_READ`; "": none."""
    if isinstance(content, list):
        return "results" if content and _has(content[0], "image_id", "category_id") else ""
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        return ""
    entries = content.get("annotations", [])
    first = entries[0] if isinstance(entries, list) and entries else None
    if _has(first, "segments_info"):
        return "panoptic"
    if _has(first, "caption") and not _has(first, "category_id"):
        return "captions"
    return "coco" if "annotations" in content or "categories" in content else ""


def _has(entry: Any, *keys: str) -> bool:  # noqa: ANN401 - JSON
    return isinstance(entry, dict) and all(key in entry for key in keys)
