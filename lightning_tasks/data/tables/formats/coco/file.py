"""One json file in COCO's format, checked.

After "Data format" on COCO's site: a `bbox` is [x, y, width, height] in pixels from the upper left corner of the image,
`keypoints` are x, y and visibility (0 not labelled, 1 labelled but not visible, 2 visible) of each point that the
category names. Nothing is rounded or moved.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from lightning_tasks.data.tables.formats.annotations import AnnotatedObject, Box
from lightning_tasks.data.tables.formats.json_values import (
    are_finite,
    as_finites,
    as_list,
    as_name,
    as_names,
    as_object,
    refuse,
    shown,
)

Id = int | str
Mark = AnnotatedObject | str  # an annotation: an object, or a label of the image as a whole
_VISIBILITIES = {0, 1, 2}
_READ = ("id", "image_id", "category_id", "bbox", "area", "iscrowd", "segmentation", "keypoints", "num_keypoints")


@dataclass
class CocoFile:
    """What a file says, by its own ids."""

    path: Path
    images: dict[Id, str] = field(default_factory=dict)  # the images' names
    sizes: dict[Id, tuple[Any, Any]] = field(default_factory=dict)  # width and height, as they stand there
    categories: dict[Id, str] = field(default_factory=dict)  # their labels
    points: dict[str, tuple[str, ...]] = field(default_factory=dict)  # of a label: the names of its points
    marks: dict[Id, dict[Id, Mark]] = field(default_factory=dict)  # of an image: by the annotations' ids
    point_names: tuple[str, ...] = ()  # of the objects' points
    left_out: Counter[str] = field(default_factory=Counter)
    unread: list[str] = field(default_factory=list)  # what else its first annotation says

    def where(self, key: str, i: int, entry: Any) -> str:  # noqa: ANN401 - whatever JSON holds
        """Return the place of an entry for a message."""
        named = f" (id {shown(entry['id'])})" if isinstance(entry, dict) and "id" in entry else ""
        return f"{self.path}: {key}[{i}]{named}"


def read_coco_file(path: Path, content: Mapping[str, Any]) -> CocoFile:
    """Return what a file says whose JSON is known to be an object.

    Raises:
        TableError: an entry cannot be used; names it.
    """
    file = CocoFile(path)
    _read_images(file, as_list(content.get("images"), f"{path}: images"))
    _read_categories(file, as_list(content.get("categories", []), f"{path}: categories"))
    seen: set[Id] = set()
    for i, entry in enumerate(as_list(content.get("annotations", []), f"{path}: annotations")):
        try:
            image, category, key = entry["image_id"], entry["category_id"], entry["id"]
            known = image in file.images and category in file.categories and key not in seen
        except (KeyError, TypeError):
            known = False
        if not known or type(key) not in (int, str):
            _refuse_reference(file, i, entry)
        if not seen:
            file.unread = [name for name in entry if name not in _READ]
        seen.add(key)
        file.marks.setdefault(image, {})[key] = _mark(file, i, entry, file.categories[category])
    things = (mark for marks in file.marks.values() for mark in marks.values())
    used = {mark.label for mark in things if not isinstance(mark, str) and mark.points}
    with_points = {label: names for label, names in file.points.items() if label in used}
    file.point_names = tuple(dict.fromkeys(name for names in with_points.values() for name in names))
    if len(set(with_points.values())) > 1:
        spread_points(file.marks.values(), with_points.__getitem__, file.point_names)
    return file


def spread_points(
    marks: Iterable[dict[Id, Mark]], names_of: Callable[[str], Sequence[str]], wider: Sequence[str]
) -> None:
    """Give each object points of all names in `wider`; those that its label does not have are absent."""
    for of_image in marks:
        for key, mark in of_image.items():
            if not isinstance(mark, str) and mark.points:
                points = [0.0] * (3 * len(wider))
                for i, name in enumerate(names_of(mark.label)):
                    at = 3 * wider.index(name)
                    points[at : at + 3] = mark.points[3 * i : 3 * i + 3]
                of_image[key] = mark._replace(points=points)


def _read_images(file: CocoFile, entries: list[Any]) -> None:
    names: set[str] = set()
    for i, entry in enumerate(entries):
        try:
            key, name = entry["id"], entry["file_name"]
            fine = type(key) in (int, str) and key not in file.images and name.strip() and name not in names
        except (KeyError, TypeError, AttributeError):
            fine = False
        if not fine:
            _refuse_image(file, file.where("images", i, entry), entry)
        names.add(name)
        file.images[key] = name
        file.sizes[key] = entry.get("width"), entry.get("height")


def _refuse_image(file: CocoFile, where: str, value: Any) -> NoReturn:  # noqa: ANN401 - JSON
    entry = as_object(value, where)
    if _id(entry, where) in file.images:
        refuse(where, "a second image of this id")
    name = as_name(entry.get("file_name"), f"{where}: file_name")
    refuse(where, f"a second image of the file_name {name!r}")


def _read_categories(file: CocoFile, entries: list[Any]) -> None:
    for i, value in enumerate(entries):
        where = file.where("categories", i, value)
        entry = as_object(value, where)
        key = _id(entry, where)
        if key in file.categories:
            refuse(where, "a second category of this id")
        label = file.categories[key] = as_name(entry.get("name"), f"{where}: name")
        if entry.get("keypoints"):
            points = as_names(entry["keypoints"], f"{where}: keypoints")
            if twice := [name for name, n in Counter(points).items() if n > 1]:
                refuse(where, f"several of its keypoints are called {twice[0]!r}")
            if file.points.setdefault(label, points) != points:
                refuse(where, f"another category is called {label!r} and has other keypoints")


def _id(entry: Mapping[str, Any], where: str) -> Id:
    key: Id = entry.get("id", "")
    return key if type(key) in (int, str) and key != "" else refuse(where, "its id is neither a number nor text")


def _refuse_reference(file: CocoFile, i: int, value: Any) -> NoReturn:  # noqa: ANN401 - JSON
    where = file.where("annotations", i, value)
    entry = as_object(value, where)
    _id(entry, where)
    for name, known in (("image_id", file.images), ("category_id", file.categories)):
        told = entry.get(name)
        if type(told) not in (int, str) or told not in known:
            what = "images" if known is file.images else "categories"
            example = next((f", whose first is {shown(key)}" for key in known), ", of which there are none")
            refuse(where, f"its {name} {shown(told)} is not among the ids of {what}{example}")
    refuse(where, "a second annotation of this id")


def _mark(file: CocoFile, i: int, entry: Mapping[str, Any], label: str) -> Mark:
    """Return an annotation's object; its label alone where it marks no place in the image."""
    get = entry.get
    bbox, keypoints, area, crowd = get("bbox"), get("keypoints"), get("area"), get("iscrowd", 0)
    if get("segmentation"):
        file.left_out["segmentation masks"] += 1
    elif not bbox and not keypoints:
        return label
    box = None
    points: Sequence[float] = ()
    if bbox:
        if not are_finite(bbox, 4) or bbox[2] < 0 or bbox[3] < 0:
            _refuse_box(file.where("annotations", i, entry), bbox)
        x, y, width, height = bbox
        box = Box(x, y, x + width, y + height)
    if keypoints:
        n = len(file.points.get(label, ()))
        if not n or not are_finite(keypoints, 3 * n) or not set(keypoints[2::3]) <= _VISIBILITIES:
            _refuse_points(file.where("annotations", i, entry), keypoints, label, n)
        labelled = n - keypoints[2::3].count(0)
        if get("num_keypoints", labelled) != labelled:
            told = f"num_keypoints is {shown(entry['num_keypoints'])}"
            refuse(file.where("annotations", i, entry), f"{told}, but {labelled} of its keypoints have a visibility")
        points = keypoints if labelled else ()
    if area is not None and (not are_finite([area], 1) or area < 0):
        refuse(f"{file.where('annotations', i, entry)}: area", f"{shown(area)} is no area")
    if crowd not in (0, 1):
        refuse(f"{file.where('annotations', i, entry)}: iscrowd", f"{shown(crowd)} is neither 0 nor 1")
    return AnnotatedObject(label, box, points, area, crowd == 1)


def _refuse_box(where: str, value: Any) -> NoReturn:  # noqa: ANN401 - JSON
    _, _, *size = as_finites(value, 4, f"{where}: bbox")
    refuse(f"{where}: bbox", f"a width or a height of {min(size)}")


def _refuse_points(where: str, value: Any, label: str, n: int) -> NoReturn:  # noqa: ANN401 - JSON
    if not n:
        refuse(where, f"it has keypoints, but its category {label!r} does not name them (keypoints)")
    numbers = as_finites(value, 3 * n, f"{where}: keypoints")
    wrong = next((number for number in numbers[2::3] if number not in _VISIBILITIES), None)
    refuse(f"{where}: keypoints", f"a visibility of {shown(wrong)}, which is none of 0, 1 and 2")
