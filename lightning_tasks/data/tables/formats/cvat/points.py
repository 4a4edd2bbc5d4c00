"""CVAT's skeletons and points: which names their points have, and which of them belong to one object."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lightning_tasks.data.tables.formats.annotations import ABSENT, HIDDEN, SEEN, AnnotatedObject, Box
from lightning_tasks.data.tables.formats.cvat.labels import Labels
from lightning_tasks.data.tables.formats.cvat.shapes import positions
from lightning_tasks.data.tables.formats.xml_lines import Element, place
from lightning_tasks.errors import TableError

_NO_GROUP = "0"  # CVAT's own

PointName = tuple[str, str]  # the label of its skeleton, or ""; and its own
Position = tuple[float, float, float]  # x, y, visibility


class Shape(NamedTuple):
    """An object before all points' names are known."""

    label: str
    box: Box | None
    points: dict[PointName, Position]

    def laid_out(self, names: Sequence[PointName]) -> AnnotatedObject:
        """Return the object with its points in the order of `names`."""
        points = (x for name in names for x in self.points.get(name, (0.0, 0.0, ABSENT)))
        return AnnotatedObject(self.label, self.box, tuple(points) if self.points else ())


class PointNames:
    """The names of all points that occur, and of those that their skeletons have besides."""

    def __init__(self, labels: Labels) -> None:
        self._labels = labels
        self._seen: dict[PointName, None] = {}
        self._counts: dict[str, tuple[int, str]] = {}  # of each label of points: how many positions, and where

    def of_skeleton(self, path: Path, element: Element, label: str) -> PointName:
        """Return the name of a skeleton's point; TableError: the skeleton is not declared to have it."""
        name = element.attributes.get("label", "")
        known = self._labels.skeletons.get(label, [])
        if not name or (known and name not in known):
            what = f"{place(path, element)}: {name!r} is no point of the skeleton {label!r} in <meta>"
            raise TableError(f"{what}. Correct it, or export it again.")
        self._seen[label, name] = None
        return label, name

    def of_shape(self, path: Path, element: Element, label: str, n: int) -> list[PointName]:
        """Return the names of the positions of a shape; TableError: another one of its label has more or fewer."""
        expected, where = self._counts.setdefault(label, (n, place(path, element)))
        if n != expected:
            what = f"{place(path, element)}: {label!r} has {n} positions, and in {where} it has {expected}"
            raise TableError(f"{what}: which is which is not known. Give each point a label of its own.")
        digits = len(str(n - 1))
        names = [("", f"{label}_{i:0{digits}}") for i in range(n)] if n > 1 else [("", label)]
        self._seen.update(dict.fromkeys(names))
        return names

    def all(self) -> list[PointName]:
        """Return all, in the order in which they are declared."""
        skeletons = {label for label, _ in self._seen}
        declared = [
            *((label, point) for label in self._labels.skeletons for point in self._labels.skeletons[label]),
            *(name for label in self._labels.names if (name := ("", label)) in self._seen),
        ]
        return list(dict.fromkeys([*(name for name in declared if name[0] in skeletons), *self._seen]))


def plain_names(names: Sequence[PointName]) -> tuple[str, ...]:
    """Return the names of points; the skeleton's label stands before them where two would be called alike."""
    if len({point for _, point in names}) == len(names):
        return tuple(point for _, point in names)
    return tuple(f"{label}_{point}" if label else point for label, point in names)


class PointsOfImage:
    """Puts together the objects of one image.

    A skeleton is an object. So are the points, and a box, of one group; a shape of several positions that is in none;
    and all single positions that are in none, together.
    """

    def __init__(self, path: Path, names: PointNames) -> None:
        self._path = path
        self._names = names
        self._objects: list[Shape] = []
        self._groups: dict[str, dict[PointName, Position]] = {}
        self._boxes: list[tuple[str, Shape]] = []

    def add_box(self, element: Element, label: str, box: Box) -> None:
        """Add a shape that has no points."""
        self._boxes.append((_group_of(element), Shape(label, box, {})))

    def add_skeleton(self, element: Element, label: str) -> None:
        """Add a skeleton."""
        points: dict[PointName, Position] = {}
        for child in element.find_all("points"):
            name = self._names.of_skeleton(self._path, child, label)
            found = positions(self._path, child)
            if name in points or len(found) != 1:
                why = f"stands twice in {label!r}" if name in points else f"has {len(found)} positions, not one"
                raise TableError(f"{place(self._path, child)}: {name[1]!r} {why}. Correct it, or export it again.")
            points[name] = (0.0, 0.0, ABSENT) if _is_set(child, "outside") else (*found[0], _visibility(child))
        self._objects.append(Shape(label, None, points))

    def add_points(self, element: Element, label: str) -> None:
        """Add a shape of one or several positions."""
        found = positions(self._path, element)
        names = self._names.of_shape(self._path, element, label, len(found))
        points = {name: (*xy, _visibility(element)) for name, xy in zip(names, found, strict=True)}
        group = _group_of(element)
        if len(points) > 1 and group == _NO_GROUP:
            self._objects.append(Shape(label, None, points))
            return
        others = self._groups.setdefault(group, {})
        if again := next((name for name in points if name in others), None):
            of = "no group" if group == _NO_GROUP else f"group {group}"
            what = f"{place(self._path, element)}: {again[1]!r} stands twice in {of} of the image"
            raise TableError(f"{what}: make a group of each object's points, or use skeletons.")
        others.update(points)

    def objects(self) -> list[Shape]:
        """Return all."""
        taken: list[Shape] = []
        for group, points in self._groups.items():
            boxes = [shape for of, shape in self._boxes if of == group != _NO_GROUP]
            one = boxes[0] if len(boxes) == 1 else Shape("", None, {})
            taken += boxes if len(boxes) == 1 else []
            self._objects.append(one._replace(points=points))
        rest = [shape for _, shape in self._boxes if not any(shape is other for other in taken)]
        return [*rest, *self._objects]


def _group_of(element: Element) -> str:
    return element.attributes.get("group_id", _NO_GROUP)


def _visibility(element: Element) -> float:
    return HIDDEN if _is_set(element, "occluded") else SEEN


def _is_set(element: Element, name: str) -> bool:
    return element.attributes.get(name, "0").lower() in ("1", "true")
