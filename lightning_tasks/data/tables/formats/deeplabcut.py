"""DeepLabCut's CollectedData_<scorer>.csv: rows of scorer, (individuals,) bodyparts and coords, then a row a frame.

A frame is called in one cell, `labeled-data/video/img.png`, or in three. Positions are pixels, as they are written. The
frames of one video are a group.
"""

import csv
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lightning_tasks.data.tables.cells import normalize, stands_for_nothing
from lightning_tasks.data.tables.formats.annotations import ABSENT, SEEN, AnnotatedImage, AnnotatedObject, Annotations
from lightning_tasks.data.tables.formats.image_names import plain_name
from lightning_tasks.data.tables.formats.images import ImagesNear
from lightning_tasks.data.tables.formats.reader import Reader, ReadOptions
from lightning_tasks.data.tables.formats.source import Source
from lightning_tasks.data.tables.formats.text_lines import finite, read_lines
from lightning_tasks.errors import TableError
from lightning_tasks.filesystem import is_file

_HEADS = (["scorer", "bodyparts", "coords"], ["scorer", "individuals", "bodyparts", "coords"])
_UNIQUE = "single"  # the individual of the body parts that are no animal's


class DeepLabCut(Reader):
    """Labelled frames of videos."""

    name = "deeplabcut"
    about = "DeepLabCut's CollectedData_*.csv"

    def recognises(self, source: Source) -> bool:
        """Return whether there are csv files with DeepLabCut's header rows."""
        return bool(_tables(source))

    def read(self, source: Source, options: ReadOptions) -> Annotations:
        """Return each frame's points; each animal is an object."""
        paths = _tables(source) or [source.path]
        read = [_Table(path) for path in paths]
        names = tuple(dict.fromkeys(part for table in read for part in table.bodyparts))
        annotations = Annotations([], source.folder, "", point_names=names)
        images = ImagesNear(source.folder, options.images)
        folder, found = images.locate([frame for table in read for frame in table.frames])
        seen: dict[str, str] = {}
        for table in read:
            for frame, (line, cells) in table.frames.items():
                # Frames lie beside their table; an image of the same name in another video's folder is another one.
                beside = table.path.with_name(PurePosixPath(frame).name)
                is_beside = options.images is None and beside.is_relative_to(folder) and is_file(beside)
                name = beside.relative_to(folder).as_posix() if is_beside else found[frame]
                where = f"{table.path}: line {line}"
                if name in seen:
                    raise TableError(f"{where}: {name} stands already in {seen[name]}. Keep one of them.")
                seen[name] = where
                objects = table.objects(line, cells, names, annotations)
                group = PurePosixPath(frame).parent.name or table.path.parent.name
                annotations.images.append(AnnotatedImage(name, where, objects=objects, group=group))
        annotations.folder = folder
        n = f"{len(paths):,} tables" if len(paths) > 1 else paths[0].name
        annotations.found = f"DeepLabCut, {n}: {len(annotations.images):,} frames, {len(names)} body parts"
        return annotations


@dataclass(frozen=True)
class _Column:
    individual: str
    bodypart: str
    coordinate: str


class _Table:
    def __init__(self, path: Path) -> None:
        """Raise TableError where the rows are not as DeepLabCut writes them."""
        self.path = path
        lines = read_lines(path)
        rows = list(csv.reader(line for _, line in lines))
        head = next(
            (names for names in _HEADS if [row[0].strip().lower() for row in rows[: len(names)]] == names), None
        )
        if head is None:
            raise TableError(f"{path}: line 1: the rows scorer, bodyparts and coords are missing. Export it again.")
        n_index = next((i for i, cell in enumerate(rows[len(head) - 1][1:], 1) if cell.strip()), 0)
        if n_index not in (1, 3):
            raise TableError(f"{path}: line {len(head)}: coords must begin in the second or the fourth column.")
        above = [row[n_index:] for row in rows[: len(head)]]
        if len({len(row) for row in above}) > 1:
            raise TableError(f"{path}: line 1: the header's rows are not equally long. Export it again.")
        individuals = above[1] if len(head) > len(_HEADS[0]) else [""] * len(above[0])
        self._columns = [
            _Column(individual.strip(), normalize(part), coordinate.strip().lower())
            for individual, part, coordinate in zip(individuals, above[-2], above[-1], strict=True)
        ]
        if len(set(self._columns)) < len(self._columns):
            raise TableError(f"{path}: line {len(head)}: two columns are of the same point. Export it again.")
        self.bodyparts = list(dict.fromkeys(column.bodypart for column in self._columns))
        self.frames: dict[str, tuple[int, list[str]]] = {}
        for (line, _), row in zip(lines[len(head) :], rows[len(head) :], strict=True):
            if len(row) != n_index + len(self._columns):
                raise TableError(
                    f"{path}: line {line}: {len(row)} cells, and the header has {len(rows[0])}. Correct it."
                )
            frame = plain_name("/".join(row[:n_index]))
            if frame in self.frames:
                raise TableError(f"{path}: line {line}: {frame} stands in line {self.frames[frame][0]} already.")
            self.frames[frame] = line, row[n_index:]

    def objects(
        self, line: int, cells: list[str], names: tuple[str, ...], annotations: Annotations
    ) -> list[AnnotatedObject]:
        """Return the animals of a frame that have a point."""
        found: dict[str, dict[str, dict[str, float]]] = {}
        for column, cell in zip(self._columns, cells, strict=True):
            if column.coordinate not in ("x", "y"):
                annotations.left_out[f"numbers of {column.coordinate}"] += 1
            elif cell.strip() and not stands_for_nothing(cell):
                point = found.setdefault(column.individual, {}).setdefault(column.bodypart, {})
                point[column.coordinate] = finite(self.path, line, cell)
        if len(found) > 1 and _UNIQUE in found:
            annotations.left_out["body parts of no animal, beside animals"] += len(found.pop(_UNIQUE))
        for parts in found.values():
            for part, point in parts.items():
                if len(point) == 1:
                    raise TableError(f"{self.path}: line {line}: {part!r} has only one of x and y. Fill both, or none.")
        absent = (0.0, 0.0, ABSENT)
        return [
            AnnotatedObject(points=[n for name in names for n in (
                (parts[name]["x"], parts[name]["y"], SEEN) if name in parts else absent)])
            for parts in found.values()
        ]  # fmt: skip


def _tables(source: Source) -> list[Path]:
    return [path for path in source.with_ending(".csv") if is_deeplabcut(source.head(path))]


def is_deeplabcut(text: str) -> bool:
    """Return whether a table begins with DeepLabCut's header rows."""
    first = [line.partition(",")[0].strip().lower() for line in text.lstrip("\ufeff").splitlines()[:4]]
    return any(first[: len(names)] == names for names in _HEADS)
