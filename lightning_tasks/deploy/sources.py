"""What a user names on the command line to the images that are meant."""

import codecs
import errno
import os
import sys
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from glob import glob, has_magic
from itertools import islice, takewhile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lightning_tasks.data.images.decode import file_size_px
from lightning_tasks.data.tables.csv_table import cell_at, read_cells
from lightning_tasks.data.tables.file_checks import find_files, respelt_line
from lightning_tasks.data.tables.near_names import IMAGES
from lightning_tasks.data.tables.paths import Confines
from lightning_tasks.errors import DatasetNotFoundError, LightningTasksWarning, TableError
from lightning_tasks.filesystem import is_file, is_folder, why_missing
from lightning_tasks.reports.figure_file import is_drawn

STDIN = "-"
_LISTED = 5
_APPLE_DOUBLE = "._*: notes that macOS keeps beside files."
_DRAWN = "that this program has drawn itself."
_RAW = (".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".rw2")


class Found(NamedTuple):
    """An image that was asked for; whether it can be read is seen later."""

    path: Path
    name: Path  # of its annotated copy, below the folder of these; no two images have the same


@dataclass
class LeftOut:
    """What lay among the images and was not predicted: counts of files by kind, and reasons by path."""

    endings: Counter[str] = field(default_factory=Counter)  # lower case with the dot; "": none
    unreadable: dict[str, str] = field(default_factory=dict)  # folders that may not be entered
    folders: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    others: Counter[str] = field(default_factory=Counter)  # by what they are

    def add(self, other: "LeftOut") -> None:
        """Take in what another search left out."""
        for name, noted in vars(self).items():
            noted.update(getattr(other, name))

    def lines(self) -> list[str]:
        """Return sentences; none where nothing was left out."""
        lines = []
        if self.endings:
            listed = ", ".join(f"{n:,} {ending or 'without an ending'}" for ending, n in self.endings.most_common())
            lines.append(f"{listed}: by their names no images that can be read. Name such a file itself to try it.")
        if any(ending in self.endings for ending in _RAW):
            lines.append("Raw files of cameras: develop them to JPEG or TIFF first.")
        for paths in (self.unreadable, self.folders, self.files):
            lines += [f"{path}: {why}." for path, why in list(paths.items())[:_LISTED]]
            lines += [f"... and {len(paths) - _LISTED:,} more like it."] if len(paths) > _LISTED else []
        return lines + [f"{self.others[what]:,} {what}" for what in (_APPLE_DOUBLE, _DRAWN) if what in self.others]


class Search(NamedTuple):
    """What was asked for, and what was met on the way."""

    found: list[Found]
    left_out: LeftOut


def find_images(sources: Sequence[str], images: str | None, allow_outside: bool = False) -> list[Found]:
    """Return what `search` finds."""
    return search(sources, images, allow_outside).found


def search(sources: Sequence[str], images: str | None, allow_outside: bool = False) -> Search:
    """Return the images of files, folders (with all below them), patterns and tables, each once, in order.

    Args:
        sources: files; folders; patterns such as 'holiday/**/*.jpg'; csv files with a column `fname`; `-` for names
            on standard input, a line each, or ending in zero bytes.
        images: the folder that a table's file names start from; None: the table's own.
        allow_outside: let a table's names lead out of that folder.

    Raises:
        DatasetNotFoundError: a source is nothing of these, or has no images.
        TableError: a table has no column `fname`, or a name that leads out of its folder.
    """
    found: dict[str, Found] = {}
    left_out = LeftOut()
    for source in dict.fromkeys(sources):
        left_out_here = LeftOut()
        found_here = _search_source(source, images, allow_outside, left_out_here)
        if not found_here:
            raise DatasetNotFoundError(f"There are no images in {source}. {' '.join(left_out_here.lines())}".rstrip())
        left_out.add(left_out_here)
        for image in found_here:
            found.setdefault(os.path.abspath(image.path), image)  # noqa: PTH100 - resolve() would follow links
    return Search(_make_names_unique(list(found.values())), left_out)


def _search_source(source: str, images: str | None, allow_outside: bool, left_out: LeftOut) -> list[Found]:
    path = Path(source)
    if source == STDIN:
        stdin = sys.stdin.buffer.read().removeprefix(codecs.BOM_UTF8).replace(b"\r\n", b"\n")
        names = stdin.split(b"\0" if b"\0" in stdin else b"\n")
        return [Found(path, path) for path in (Path(os.fsdecode(name)) for name in names if name.strip())]
    if not source:  # of a shell's variable that is not set; to Path it is the current folder
        raise DatasetNotFoundError("A name of what to predict is empty. For the current folder write a dot.")
    if is_folder(path):
        return [Found(p, p.relative_to(path)) for p in sorted(_filter_images(_walk(path, left_out), left_out))]
    if path.suffix.lower() == ".csv" and is_file(path):
        return _search_table(path, path.parent if images is None else Path(images), allow_outside, left_out)
    if is_file(path):  # whatever it is called: if it is no image, its row says so
        return [Found(path, Path(path.name))]
    matches = sorted(Path(match) for match in glob(source, recursive=True))  # noqa: PTH207 - absolute ones too
    left_out.unreadable.update(_find_locked(path))
    if not matches and not left_out.unreadable:
        for_brackets = (
            " In a pattern, [...] stands for one of the characters between the brackets; for brackets in a name write "
            f"{source.replace('[', '[[]')!r}."
        )
        raise DatasetNotFoundError(
            f"There is no file, folder or pattern {source}{why_missing(path)}. Check its name."
            f"{for_brackets if '[' in source else ''}"
        )
    if "**" not in source:  # which goes into them
        left_out.folders.update({str(p): "a folder; name it too" for p in matches if is_folder(p)})
    above = Path(*takewhile(lambda part: not has_magic(part), path.parts))
    files = [p for p in matches if not is_folder(p)]
    return [Found(p, p.relative_to(above)) for p in _filter_images(files, left_out)]


def _find_locked(pattern: Path) -> dict[str, str]:
    """Return the folders that a pattern leads into and that may not be entered: glob passes them over in silence."""
    locked = {}
    for below in (pattern, *pattern.parents):
        above, lists = below.parent, has_magic(below.name)
        if not (lists or has_magic(str(above))):
            break  # what stands before the pattern need not be listed
        for match in glob(str(above), recursive=True):  # noqa: PTH207 - absolute ones too
            if is_folder(Path(match)) and not os.access(match, os.X_OK | (os.R_OK if lists else 0)):
                locked[match] = os.strerror(errno.EACCES)
    return locked


def _walk(folder: Path, left_out: LeftOut) -> Iterable[Path]:
    """Yield the files below a folder; links to folders are not followed: they may lead in circles."""
    locked = left_out.unreadable
    for above, folders, names in os.walk(folder, onerror=lambda e: locked.update({str(e.filename): str(e.strerror)})):
        linked = [str(Path(above, name)) for name in folders if Path(above, name).is_symlink()]
        left_out.folders.update(dict.fromkeys(linked, "a linked folder; name it too"))
        yield from (Path(above, name) for name in names)


def _filter_images(files: Iterable[Path], left_out: LeftOut) -> Iterable[Path]:
    """Yield the files that look like images, and note the others."""
    for path in files:
        ending = path.suffix.lower()
        if path.name.startswith("._"):
            left_out.others[_APPLE_DOUBLE] += 1
        elif not is_file(path):
            left_out.files[str(path)] = "a link that leads nowhere" if path.is_symlink() else "no plain file"
        elif ending not in IMAGES and (ending or file_size_px(path) is None):
            left_out.endings[ending] += 1
        elif is_drawn(path):
            left_out.others[_DRAWN] += 1
        else:
            yield path


def _make_names_unique(found: Sequence[Found]) -> list[Found]:
    """Give the images names that no two share: their whole paths, as they were given, where shorter ones meet."""
    names = [_stay_inside(image.name) for image in found]
    if len(set(names)) < len(found):
        names = [_stay_inside(image.path) for image in found]
    taken: set[Path] = set()
    for i, name in enumerate(names):
        copy = 1
        while names[i] in taken:  # ../a.jpg and a.jpg
            copy += 1
            names[i] = name.with_name(f"{name.stem}-{copy}{name.suffix}")
        taken.add(names[i])
    return [image._replace(name=name) for image, name in zip(found, names, strict=True)]


def _stay_inside(path: Path) -> Path:
    """Return a path that leads to nowhere outside of the folder that it starts from."""
    return Path(*(part for part in path.parts if part not in ("..", path.anchor)))


def _search_table(path: Path, folder: Path, allow_outside: bool, left_out: LeftOut) -> list[Found]:
    header, *rows = read_cells(path) or [[]]
    names = [name.strip() for name in header]
    if names.count("fname") > 1:
        raise TableError(f"{path}: row 1: two columns are called 'fname'. Rename one of them.")
    if "fname" not in names:
        raise TableError(f"{path}: row 1: no column 'fname'; it has {', '.join(map(repr, names))}. Rename one to it.")
    column = names.index("fname")
    cells = [row_cells[column] if len(row_cells) > column else "" for row_cells in rows]
    named = [row for row, cell in enumerate(cells) if cell.strip()]
    files = find_files([cells[row] for row in named], folder, None if allow_outside else Confines(folder))
    for i in np.flatnonzero(files.leads_out):
        raise TableError(
            f"{cell_at(path, named[i], 'fname')}: {cells[named[i]]!r} leads out of {folder}. Name the folder that it "
            "lies in with --images; or, if you trust the table, --allow_outside true."
        )
    # That other files are missing, their own rows say.
    unclear = (int(i) for i in np.flatnonzero(files.missing) if files.nearly(int(i)))
    lines = [f"{cell_at(path, named[i], 'fname')}: {files.what_is_missing(i)}." for i in islice(unclear, 1)]
    for line in [*filter(None, [respelt_line(path, files, named)]), *lines]:
        warnings.warn(line, LightningTasksWarning, stacklevel=2)
    unnamed = sum(1 for row_cells in rows if row_cells) - len(named)  # blank lines are no rows
    if unnamed:
        left_out.files[str(path)] = f"{unnamed:,} rows without a file name"
    return [Found(folder / name, Path(name)) for name in files.names]
