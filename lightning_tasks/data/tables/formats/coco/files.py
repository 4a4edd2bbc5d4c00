"""Several json files of COCO's, read together: those of splits, and those of the same images."""

import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_tasks.data.tables.formats.annotations import AnnotatedImage, Annotations, Box
from lightning_tasks.data.tables.formats.coco.file import CocoFile, Id, Mark, spread_points
from lightning_tasks.data.tables.formats.image_names import plain_name, split_of_file, split_of_folder
from lightning_tasks.data.tables.formats.images import ImagesNear
from lightning_tasks.data.tables.formats.json_values import refuse, shown
from lightning_tasks.data.tables.formats.stated_sizes import stated_size
from lightning_tasks.filesystem import is_file, is_folder


@dataclass(slots=True)
class _Entry:
    """An image that files list."""

    name: str  # in its file
    path: Path  # of that file
    key: Id
    split: str
    marks: dict[Id, Mark]  # by the annotations' ids
    size: tuple[Any, Any]  # width and height, as they stand there


class CocoFiles:
    """Files that are read together. An annotation (its id) of an image that is in several of them counts once."""

    def __init__(self) -> None:
        self._images: dict[str, _Entry] = {}  # by the images' paths
        self._folders: set[Path] = set()
        self._point_names: tuple[str, ...] = ()
        self._vocab: dict[str, None] = {}
        self._notes: dict[str, None] = {}
        self._left_out: Counter[str] = Counter()
        self._n = 0

    def add(self, file: CocoFile, given: Path | None) -> None:
        """Take in what a file says.

        Args:
            file: the file.
            given: the folder of the images; None: found around the file.

        Raises:
            TableError: it says of an image something else than a file before.
        """
        word, split = _split(file.path)
        folder, found = _images(file, given, word)
        self._folders.add(folder)
        self._share_points(file)
        for key, called in file.images.items():
            name = found[called]
            path = os.path.normpath(os.path.join(folder, name))  # noqa: PTH118 - of a million
            if name.startswith("../"):
                self._folders.add(Path(path).parent)
            entry = _Entry(name, file.path, key, split, file.marks.get(key, {}), file.sizes[key])
            before = self._images.setdefault(path, entry)
            if before is not entry:
                self._merge(before, entry)
        self._vocab.update(dict.fromkeys(file.categories.values()))
        self._left_out += file.left_out
        if file.unread:
            self._notes[f"not read of the annotations: {', '.join(file.unread)}"] = None
        self._n += 1

    def annotations(self) -> Annotations:
        """Return what all say together; a split that all images have is none."""
        common = os.path.commonpath([os.path.normpath(folder) for folder in self._folders])
        begin = 0 if common in ("", ".") else len(os.path.join(common, ""))  # noqa: PTH118 - of a million
        splits = {entry.split for entry in self._images.values()}
        if len(splits) == 1 and (split := splits.pop()):
            self._notes[f"all images are of one split, {split}: the table leaves it out"] = None
            for entry in self._images.values():
                entry.split = ""
        images = [_image(path[begin:], entry) for path, entry in self._images.items()]
        n = sum(len(image.objects) for image in images)
        found = f"COCO json, {self._n} file{'s' * (self._n > 1)}: {len(images):,} images, {n:,} objects"
        return Annotations(
            *(images, Path(common), found, self._point_names, tuple(self._vocab)),
            left_out=self._left_out,
            notes=list(self._notes),
        )

    def _share_points(self, file: CocoFile) -> None:
        """Give all objects the same points, of which one has only those that its label names."""
        theirs, ours = file.point_names, self._point_names
        wider = tuple(dict.fromkeys((*ours, *theirs)))
        if (theirs and theirs not in file.points.values()) or wider not in (ours, theirs):
            self._notes["labels name different points: an object lacks those of the other labels"] = None
        if ours and wider != ours:
            spread_points((entry.marks for entry in self._images.values()), lambda _: ours, wider)
        if theirs and wider != theirs:
            spread_points(file.marks.values(), lambda _: theirs, wider)
        self._point_names = wider

    def _merge(self, before: _Entry, entry: _Entry) -> None:
        where = f"{entry.path}: image {shown(entry.key)} ({entry.name})"
        if before.path == entry.path or before.key != entry.key:
            refuse(where, f"it is the same file as image {shown(before.key)} of {before.path}")
        if before.split != entry.split and before.split and entry.split:
            refuse(where, f"it is of {entry.split}, and in {before.path} it is of {before.split}")
        before.split = before.split or entry.split
        for key, mark in entry.marks.items():
            other = before.marks.setdefault(key, mark)
            if _label(other) != _label(mark) or (_box(other) or _box(mark)) != (_box(mark) or _box(other)):
                refuse(
                    where, f"annotation {shown(key)} says something else in {before.path}. Give one of the two alone"
                )
            if not isinstance(mark, str) and (isinstance(other, str) or mark.points):
                before.marks[key] = mark
        both = f"{before.path.name} and {entry.path.name} list the same images"
        self._notes[f"{both}: an annotation (id) that is in both counts once"] = None


def _image(name: str, entry: _Entry) -> AnnotatedImage:
    marks = entry.marks.values()
    objects = [mark for mark in marks if not isinstance(mark, str)]
    labels = [mark for mark in marks if isinstance(mark, str)] if len(objects) < len(marks) else ()
    size = stated_size(*entry.size)
    return AnnotatedImage(name, f"{entry.path}: image {entry.key}", labels, (), objects, {}, entry.split, size_px=size)


def _label(mark: Mark) -> str:
    return mark if isinstance(mark, str) else mark.label


def _box(mark: Mark) -> Box | None:
    return None if isinstance(mark, str) else mark.box


def _split(path: Path) -> tuple[str, str]:
    """Return the word of a file's name, else its folder's, that names a split, such as train2017, and the split."""
    word, split = split_of_file(path.stem)
    if split:
        return word, split
    split = split_of_folder(path.parent.name)
    return (path.parent.name if split else re.split(r"[-_. ]", path.stem)[-1]), split


def _images(file: CocoFile, given: Path | None, word: str) -> tuple[Path, Mapping[str, str]]:
    """Return the folder that a file's names start from, and of each name the image."""
    names, place = file.images.values(), file.path.parent
    if given is not None:
        first = next(map(plain_name, names), "")
        is_inner = word and first and is_folder(given / word) and is_file(given / word / first)
        return ImagesNear(place, given / word if is_inner else given).locate(names)
    likely = [above / inner / word for above in (place, place.parent) for inner in ("", "images")] if word else []
    return ImagesNear(place, None, place, *likely).locate(names)
