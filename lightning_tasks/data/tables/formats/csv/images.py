"""The images that a table's or a list's names mean: where they lie, and what they are called there."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from lightning_tasks.data.tables.formats.image_names import ImageNames, images_folder, plain_name
from lightning_tasks.data.tables.formats.source import Source
from lightning_tasks.filesystem import is_file

_TRIED = 50


class TableImages:
    """The images in or beside the folder of some annotations."""

    def __init__(self, folder: Path, given: Path | None) -> None:
        """`given`: the folder that the user names, if any."""
        self._folder = folder
        self._given = given
        self._names: dict[Path, ImageNames] = {}

    def locate(self, names: Sequence[str]) -> tuple[Path, dict[str, str]]:
        """Return the folder that names start from, and for each name the image's, seen from there.

        A name that no image has stays as it is, with `/` between its parts.
        """
        distinct = list(dict.fromkeys(names))
        if self._given is None and distinct and all(Path(name).is_absolute() for name in distinct):
            paths = {name: Path(name) for name in distinct}
            if all(map(is_file, sample(distinct))):  # those of this machine
                return _from_one_folder(paths)
        plain = {name: plain_name(name.strip()) for name in distinct}
        if self._given is None and any("../" in name for name in plain.values()):
            paths = {name: Path(os.path.normpath(self._folder / there)) for name, there in plain.items()}
            if all(is_file(paths[name]) for name in sample(distinct)):
                return _from_one_folder(paths)
        folder = images_folder(self._folder, list(plain.values()), self._given)
        missing = [name for name, there in plain.items() if not is_file(folder / there)]
        if missing:
            known = self._known(folder)
            plain |= {name: known.find(name.strip()) for name in missing}
        return folder, plain

    def count(self, names: Iterable[str]) -> int:
        """Return how many of some names are those of images."""
        folder, found = self.locate(list(names))
        return sum(is_file(folder / name) for name in found.values())

    def _known(self, folder: Path) -> ImageNames:
        if folder not in self._names:
            self._names[folder] = ImageNames(folder, Source(folder).images)
        return self._names[folder]


def _from_one_folder(paths: dict[str, Path]) -> tuple[Path, dict[str, str]]:
    folder = Path(os.path.commonpath([path.parent for path in paths.values()]))
    return folder, {name: path.relative_to(folder).as_posix() for name, path in paths.items()}


def sample(cells: Sequence[str]) -> list[str]:
    """Return some of the cells that are not empty, from everywhere in them."""
    step = max(1, len(cells) // _TRIED)
    return list(dict.fromkeys(cell for cell in cells[::step] if cell.strip()))
