"""A file with the names of classes, one a line, beside annotations that call them by number."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lightning_tasks.data.tables.cells import normalize
from lightning_tasks.data.tables.formats.text_lines import read_lines
from lightning_tasks.errors import TableError
from lightning_tasks.filesystem import is_file

_CALLED = ("classes.txt", "class_names.txt", "classes.names", "names.txt", "labels.txt", "obj.names", "categories.txt")
_NUMBERED = re.compile(r"(?P<id>\d+)[\s,:;]+(?P<name>.+)")


@dataclass(frozen=True)
class ClassNames:
    """Names by number."""

    path: Path
    names: tuple[str, ...]
    first: int | None  # the number of the first one, where the file says it

    def first_of(self, ids: Sequence[str]) -> int:
        """Return which number the first class has, seen from those that occur."""
        if self.first is not None:
            return self.first
        numbers = {int(label) for label in ids if label.isdigit()}
        return int(bool(numbers) and 0 not in numbers and max(numbers) == len(self.names))

    def note(self, ids: Sequence[str], first: int) -> str | None:
        """Return what a person is told of the `first` number, where it is guessed; None: it is plain."""
        if self.first is not None or "0" in ids or not any(label.isdigit() for label in ids):
            return None
        why = f"none is 0 and {self.path.name} has {len(self.names)}"
        return f"classes are counted from 1, as {why}" if first else f"classes are counted from 0, though {why}"

    def by_id(self, position: int) -> str | None:
        """Return a name by its position from 0; None: there is none."""
        return self.names[position] if 0 <= position < len(self.names) else None


def read_class_names(folder: Path) -> ClassNames | None:
    """Return the names of a file that is called as usual; None: there is none.

    Raises:
        TableError: a name stands twice, or the file cannot be read.
    """
    path = next((folder / name for name in _CALLED if is_file(folder / name)), None)
    if path is None:
        return None
    lines = read_lines(path)
    numbered = [_NUMBERED.fullmatch(line) for _, line in lines]
    ids = [int(found["id"]) for found in numbered if found]
    is_numbered = len(ids) == len(lines) > 0 and ids == list(range(ids[0], ids[0] + len(ids))) and ids[0] in (0, 1)
    names = [
        normalize(found["name"] if is_numbered and found else line)
        for found, (_, line) in zip(numbered, lines, strict=True)
    ]
    twice = next((line for i, (line, _) in enumerate(lines) if names[i] in names[:i]), None)
    if twice is not None:
        raise TableError(f"{path}: line {twice}: this name stands in another line already. Give each class its own.")
    return ClassNames(path, tuple(names), ids[0] if is_numbered else None)
