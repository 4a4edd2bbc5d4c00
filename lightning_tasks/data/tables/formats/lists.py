"""Lists without a header: a file name and its labels a line, as `a.jpg cat dog`, `a.jpg 3` or `a.jpg,cat,dog`.

Numbers count from 0, as in ImageNet's val.txt, unless there is none of class 0 and there is one of as many classes as
the file of their names has. As many 0s and 1s in each line as there are classes say of each whether it is there. Boxes
are read as keras-yolo3 (`a.jpg x0,y0,x1,y1,class ...`) and keras-retinanet (`a.jpg,x0,y0,x1,y1,class`) have them.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from lightning_tasks.data.tables.cells import as_number
from lightning_tasks.data.tables.csv_table import quote, shorten
from lightning_tasks.data.tables.formats.annotations import AnnotatedImage, AnnotatedObject, Annotations, Box
from lightning_tasks.data.tables.formats.celeba import CelebA
from lightning_tasks.data.tables.formats.class_names import ClassNames, read_class_names
from lightning_tasks.data.tables.formats.image_names import split_of_file
from lightning_tasks.data.tables.formats.images import ImagesNear
from lightning_tasks.data.tables.formats.reader import Reader, ReadOptions
from lightning_tasks.data.tables.formats.source import Source
from lightning_tasks.data.tables.formats.text_lines import finite, read_lines
from lightning_tasks.data.tables.label_cells import AUTO, looks_like_a_list, split_cell
from lightning_tasks.data.tables.label_separators import separator_note, separator_of_cells
from lightning_tasks.data.tables.near_names import IMAGES
from lightning_tasks.errors import TableError

_ENDINGS = (".txt", ".lst", ".list", ".csv", ".tsv")
_LINE = re.compile(
    r"\"?(?P<name>[^\t]+?(?:" + "|".join(map(re.escape, sorted(IMAGES, key=len, reverse=True))) + r"))\"?"
    r"(?:(?P<mark>\s*[,;\t]|\s)\s*(?P<rest>.*))?",
    re.IGNORECASE,
)
_FOUR = r"(?P<box>-?[\d.]+(?:,-?[\d.]+){3}|,,,)"
_ONE_WORD, _WORDS = re.compile(rf"{_FOUR},(?P<label>\w+)"), re.compile(rf"{_FOUR},(?P<label>[^,]*)")
_LOOKED_AT = 20


class _Line(NamedTuple):
    path: Path
    number: int
    name: str
    rest: str

    @property
    def where(self) -> str:
        return f"{self.path}: line {self.number}"


class Lists(Reader):
    """Names and labels, a line each; or such lists of train, val and test."""

    name = "lists"
    about = "text lists: a file name and its labels a line"

    def recognises(self, source: Source) -> bool:
        """Return whether the lines of a file begin with the name of an image, and go on."""
        return bool(_lists(source)) and not CelebA().recognises(source)

    def read(self, source: Source, options: ReadOptions) -> Annotations:
        """Return what the lines say; of several lists each is a split."""
        paths = _lists(source) or [source.path]
        splits = {path: split_of_file(path.stem)[1] for path in paths}
        if len(paths) > 1 and not all(splits.values()):
            listed = quote(path.name for path in paths[:5])
            raise TableError(f"{source.path}: {len(paths)} lists ({listed}). Name one of them.")
        lines = [line for path in paths for line in _parse(path, options.encoding)]
        if not lines:
            raise TableError(f"{source.path}: there is no line with a file name and labels in it. Add one.")
        folder, names = ImagesNear(source.folder, options.images).locate([line.name for line in lines])
        annotations = Annotations([], folder, "")
        says = _Meaning(lines, read_class_names(paths[0].parent), options, annotations)
        images: dict[str, AnnotatedImage] = {}
        for line in lines:
            name, split = names[line.name], splits[line.path] if len(paths) > 1 else ""
            labels, objects = says.of_line(line)
            before = images.get(name)
            if before is not None and before.split != split:
                raise TableError(f"{line.where}: {name} is in another list too ({before.where}). Keep it in one.")
            labels = [*(before.labels if before else ()), *labels]
            objects = [*(before.objects if before else ()), *objects]
            where = before.where if before else line.where
            images[name] = AnnotatedImage(name, where, tuple(dict.fromkeys(labels)), objects=objects, split=split)
        annotations.images = list(images.values())
        n = f"{len(paths)} lists" if len(paths) > 1 else paths[0].name
        annotations.found = f"{n} of file names and labels: {len(images):,} images"
        return annotations


class _Meaning:
    """What stands behind the names, seen from all lines."""

    def __init__(
        self, lines: Sequence[_Line], classes: ClassNames | None, options: ReadOptions, annotations: Annotations
    ) -> None:
        rests = Counter(line.rest for line in lines if line.rest)
        self._classes = classes
        self._first = 0
        self._columns: list[str] = []
        self._box = _box_of(rests)
        self._separator = self._separator_of(rests, lines, options.label_separator, annotations.notes)
        if self._box is not None:
            ids = [match["label"] for rest in rests for match in self._box.finditer(rest)]
        else:
            cells = [labels for line in lines if (labels := self._split(line))]
            ids = [label for labels in cells for label in labels]
            self._find_columns(cells, lines, annotations)
        if classes is not None and not self._columns:
            annotations.vocab = classes.names
            self._first = classes.first_of(ids)
            if (note := classes.note(ids, self._first)) is not None:
                annotations.notes.append(note)
        elif not self._columns and ids and all(label.isdigit() for label in ids):
            annotations.notes.append("labels are numbers; a file classes.txt beside, a name a line, gives them names")

    def of_line(self, line: _Line) -> tuple[list[str], list[AnnotatedObject]]:
        """Return the labels of the image, and the objects in it."""
        if self._box is not None:
            return [], [self._object(line, found) for found in self._box.finditer(line.rest)]
        labels = self._split(line)
        if self._columns:
            return [name for name, said in zip(self._columns, labels, strict=bool(labels)) if said == "1"], []
        if len(set(labels)) < len(labels):
            twice = Counter(labels).most_common(1)[0][0]
            raise TableError(f"{line.where}: the label {twice!r} stands twice. Keep one of them.")
        return [self._named(line, label) for label in labels], []

    def _split(self, line: _Line) -> Sequence[str]:
        try:
            return split_cell(line.rest, self._separator)
        except ValueError as error:
            what = f"{line.where}: {shorten(line.rest)!r} starts like a list and is none: {error}"
            raise TableError(f'{what}. Write it as ["a", "b"].') from error

    def _separator_of(self, rests: Counter[str], lines: Sequence[_Line], said: str, notes: list[str]) -> str:
        if said != AUTO or self._box is not None:
            return said
        if any("\t" in rest for rest in rests):
            return "\t"
        plain = Counter({rest: n for rest, n in rests.items() if not looks_like_a_list(rest)})
        separator = separator_of_cells(plain, str(lines[0].path))
        if (note := separator_note(plain, separator)) is not None:
            notes.append(note)
        return separator

    def _find_columns(self, cells: Sequence[Sequence[str]], lines: Sequence[_Line], annotations: Annotations) -> None:
        """Find whether each line says yes or no of each class; TableError: it has numbers that are no classes."""
        counts = {len(labels) for labels in cells}
        n = max(counts, default=0)
        words = {label for labels in cells for label in labels}
        numbers = [as_number(word, decimal_comma=False) for word in words]
        if len(counts) > 1 or None in numbers or not (n > 1 or any(number and number % 1 for number in numbers)):
            return
        if n > 1 and words <= {"0", "1", "-1"}:
            known = self._classes if self._classes is not None and len(self._classes.names) == n else None
            self._columns = list(known.names) if known else [str(i) for i in range(n)]
            annotations.vocab = tuple(self._columns)
            names = f"named by {known.path.name}" if known else "which classes.txt beside, a name a line, would name"
            annotations.notes.append(f"each line says 1 or {min(words)} of {n} classes, {names}")
            return
        what = f"{lines[0].path}: each line has {n} number{'s' * (n > 1)}, which may be labels, positions or values"
        raise TableError(
            f"{what}. Write a header above them, such as fname,nose_x,nose_y, or put labels between brackets: [3, 17]."
        )

    def _named(self, line: _Line, label: str) -> str:
        if self._classes is None or not label.isdigit():
            return label
        name = self._classes.by_id(int(label) - self._first)
        if name is None:
            n, where = len(self._classes.names), self._classes.path
            raise TableError(f"{line.where}: there is no class {label}; {where} has {n}. Correct one of them.")
        return name

    def _object(self, line: _Line, found: re.Match[str]) -> AnnotatedObject:
        label = self._named(line, found["label"].strip())
        if not found["box"].strip(","):
            return AnnotatedObject(label)
        x0, y0, x1, y1 = (finite(line.path, line.number, cell) for cell in found["box"].split(","))
        if x1 < x0 or y1 < y0:
            raise TableError(f"{line.where}: the box {found['box']} is upside down. Correct it.")
        return AnnotatedObject(label, Box(x0, y0, x1, y1))


def _box_of(rests: Iterable[str]) -> re.Pattern[str] | None:
    """Return how a box is written, if each line holds nothing else."""
    if not rests:
        return None
    if all(all(map(_ONE_WORD.fullmatch, rest.split())) for rest in rests):
        return _ONE_WORD
    return _WORDS if all(map(_WORDS.fullmatch, rests)) else None


def _lists(source: Source) -> list[Path]:
    found = []
    for path in source.with_ending(*_ENDINGS):
        if len(path.relative_to(source.folder).parts) <= 2:
            lines = [line.strip() for line in source.head(path).splitlines()[:_LOOKED_AT] if line.strip()]
            matches = [_LINE.fullmatch(line.lstrip("\ufeff")) for line in lines[:-1] or lines]
            if lines and all(matches) and any(match["rest"] for match in matches if match):
                found.append(path)
    return found


def _parse(path: Path, encoding: str | None) -> list[_Line]:
    lines = []
    for number, text in read_lines(path, encoding):
        found = _LINE.fullmatch(text)
        if found is None:
            raise TableError(f"{path}: line {number}: it does not begin with the name of an image. Correct it.")
        rest = (found["rest"] or "").strip()
        lines.append(_Line(path, number, found["name"], rest.replace('"', "") if text.startswith('"') else rest))
    return lines
