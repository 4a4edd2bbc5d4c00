"""What a user's path leads to: a file or a folder, looked at once for all readers."""

import json
import os
import re
from functools import cached_property
from pathlib import Path
from typing import Any

from lightning_tasks.data.tables.csv_table import encoding_of
from lightning_tasks.data.tables.near_names import IMAGES
from lightning_tasks.errors import DatasetNotFoundError, TableError
from lightning_tasks.filesystem import is_file, is_folder, why_missing

_HEAD = 2**16  # bytes that tell what a file is
_FOR_PEOPLE = re.compile(r"(?i)(readme|licen[cs]e)\b.*\.txt$")  # as Roboflow puts beside any format
HIDDEN = (".", "__MACOSX")  # names that begin so are the system's


class Source:
    """A file of annotations, or a folder with them and perhaps with images; of one that wraps another the inner one.

    Raises:
        DatasetNotFoundError: there is nothing.
    """

    def __init__(self, path: Path) -> None:
        if not is_file(path) and not is_folder(path):
            raise DatasetNotFoundError(
                f"There is no {path}{why_missing(path)}. Name a file or a folder of annotations."
            )
        self.is_folder = is_folder(path)
        self.path = _without_wrappers(path) if self.is_folder else path
        self._json: dict[Path, Any] = {}

    @property
    def folder(self) -> Path:
        """The folder itself, or that of the file."""
        return self.path if self.is_folder else self.path.parent

    @cached_property
    def files(self) -> list[Path]:
        """All files, sorted; of a file: itself. What the system hides is left out, and links to folders."""
        if not self.is_folder:
            return [self.path]
        found = []
        for folder, folders, names in os.walk(self.path):
            folders[:] = sorted(name for name in folders if not name.startswith(HIDDEN))
            found += [Path(folder, name) for name in sorted(names) if not name.startswith(HIDDEN)]
        return found

    def with_ending(self, *endings: str) -> list[Path]:
        """Return the files whose names end so, in any case, such as ".json"; sorted. Texts for people are none."""
        return [path for path in self.files if path.suffix.lower() in endings and not _FOR_PEOPLE.match(path.name)]

    @cached_property
    def images(self) -> list[Path]:
        """The files that are called like images."""
        return [path for path in self.files if os.path.splitext(path)[1].lower() in IMAGES]  # noqa: PTH122 - of a million

    @cached_property
    def image_stems(self) -> frozenset[str]:
        """What the images are called, without their endings."""
        return frozenset(path.stem for path in self.images)

    def json(self, path: Path) -> Any:  # noqa: ANN401 - whatever JSON holds
        """Return what a json file holds, read once; None where it is none.

        A reader that was chosen, and finds None, calls `require_json` for the error.
        """
        if path not in self._json:
            try:
                self._json[path] = require_json(path)
            except TableError:
                self._json[path] = None
        return self._json[path]

    def head(self, path: Path) -> str:
        """Return the beginning of a text file; "" where it is none, as images are."""
        try:
            with path.open("rb") as file:
                return file.read(_HEAD).decode(encoding_of(path), "ignore")
        except (OSError, UnicodeError):
            return ""


def _without_wrappers(folder: Path) -> Path:
    """Return a folder, or the one in it where there is nothing else: so zips are packed."""
    while True:
        entries = [path for path in folder.iterdir() if not path.name.startswith(HIDDEN)]
        if len(entries) != 1 or not is_folder(entries[0]):
            return folder
        folder = entries[0]


def require_json(path: Path) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Return what a json file holds.

    Raises:
        TableError: it cannot be read; names the line.
    """
    try:
        return json.loads(path.read_bytes())
    except json.JSONDecodeError as error:
        message = f"{path}: line {error.lineno}, column {error.colno}: not JSON ({error.msg}). Export it again."
        raise TableError(message) from error
    except (OSError, ValueError, RecursionError) as error:
        raise TableError(f"{path}: cannot be read as JSON ({error}). Export it again.") from error
