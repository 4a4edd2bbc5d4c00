"""Which files the images of annotations are: these were made on another machine, and keep its folders."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from lightning_tasks.data.tables.formats.image_names import has_ending, plain_name
from lightning_tasks.data.tables.formats.source import Source
from lightning_tasks.filesystem import is_file, is_folder

_TRIED = 50  # names by which a folder is known to be that of the images
_MOSTLY = 0.9
_BESIDE = ("", "images", "Images", "JPEGImages", "data", "img", "imgs")
_UPLOAD = re.compile(r"[0-9a-f]{8}-(?=.)")  # what Label Studio puts before an uploaded file's name


class Images:
    """The images below a folder, which is searched when one is not where its name says."""

    def __init__(self, folder: Path, paths: Sequence[Path] | None = None) -> None:
        """`paths`: the images below `folder`, where somebody has looked already."""
        self.folder = folder
        self._paths = paths

    @cached_property
    def paths(self) -> Sequence[Path]:
        """All of them. Raises DatasetNotFoundError: there is no such folder."""
        return Source(self.folder).images if self._paths is None else self._paths

    @cached_property
    def _all(self) -> frozenset[str]:
        begin = 0 if self.folder == Path() else len(os.path.join(self.folder, ""))  # noqa: PTH118 - of a million
        return frozenset(path.as_posix()[begin:] for path in self.paths)

    @cached_property
    def _by_stem(self) -> dict[str, list[str]]:
        stems: dict[str, list[str]] = {}
        for name in sorted(self._all):
            stems.setdefault(os.path.splitext(name)[0], []).append(name)  # noqa: PTH122 - of a million
        return stems

    @cached_property
    def _by_last(self) -> dict[str, list[str]]:
        """The images of each last part of a name, with its ending and without."""
        found: dict[str, list[str]] = {}
        for name in self._all:
            last = name.rpartition("/")[2].lower()
            for key in {last, os.path.splitext(last)[0]}:  # noqa: PTH122 - of a million
                found.setdefault(key, []).append(name)
        return found

    def of_stem(self, stem: str) -> str | None:
        """Return the first image of a path without its ending, seen from the folder; None: there is none."""
        return next(iter(self._by_stem.get(stem, [])), None)

    def find(self, name: str) -> str:
        r"""Return the image that a name means, seen from the folder; the name itself where none or several are meant.

        It may be a path of another machine, with `\`, a URL, `/data/local-files/?d=...`, `s3://...`, or without its
        ending.
        """
        plain = plain_name(name)
        if (as_told := self._as_told(plain)) is not None:
            return as_told
        last = plain.rpartition("/")[2].lower()
        for key in dict.fromkeys((last, _UPLOAD.sub("", last, count=1))):
            if len(found := self._by_last.get(key, [])) == 1:
                return found[0]
        return plain

    def _as_told(self, plain: str) -> str | None:
        """Return the image whose whole path is the end of a name."""
        tail = plain
        while tail:
            if tail in self._all:
                return tail
            if not has_ending(tail) and len(images := self._by_stem.get(tail, [])) == 1:
                return images[0]
            tail = tail.partition("/")[2]
        return None

    def find_all(self, names: Iterable[str]) -> dict[str, str]:
        """Return the image that each name means, as `find` does; the folder is searched only where one misses.

        Where two names would lead to one image, neither does, unless it is called exactly so.
        """
        plain = {name: plain_name(name.strip()) for name in names}
        above = {name.rpartition("/")[0] for name in plain.values()}
        listed = {place: set(os.listdir(self.folder / place)) for place in above if is_folder(self.folder / place)}  # noqa: PTH208 - of a million
        missing = [
            name
            for name, (place, _, last) in ((name, there.rpartition("/")) for name, there in plain.items())
            if last not in listed.get(place, ())
        ]
        if not missing or not self.paths:
            return plain
        found = plain | {name: self.find(plain[name]) for name in missing}
        n_named = Counter({plain[name]: image for name, image in found.items()}.values())
        for name in missing:
            if n_named[found[name]] > 1:
                found[name] = plain[name]
        return found

    def find_first(self, names: Iterable[str]) -> str | None:
        """Return the first file of several names, seen from the folder; else what a name means; None: nothing."""
        tried = [plain_name(name) for name in names]
        for name in tried:
            if name in self._all or is_file(self.folder / name):
                return name
        for name in tried:
            if not has_ending(name) and (image := self.of_stem(name)):
                return image
        return next((image for name in tried if (image := self.find(name)) in self._all), None)


class ImagesNear:
    """The images in or beside the folder of some annotations.

    Args:
        folder: that of the annotations.
        given: the folder that the user names, if any.
        likely: folders that go before others which hold as many.
    """

    def __init__(self, folder: Path, given: Path | None, *likely: Path) -> None:
        self._folder, self._given, self._likely = folder, given, likely
        self._known: dict[Path, Images] = {}

    def locate(self, names: Iterable[str]) -> tuple[Path, Mapping[str, str]]:
        """Return the folder that names start from, and for each name the image's, seen from there.

        A name that no image has stays as it is, with `/` between its parts.

        Raises:
            DatasetNotFoundError: the folder that the user names is not there.
        """
        distinct = list(dict.fromkeys(names))
        if self._given is None and (places := self._as_written(distinct)):
            folder, found = from_one_folder([(path.parent, path.name) for path in places])
            return folder, dict(zip(distinct, found, strict=True))
        plain = [plain_name(name.strip()) for name in distinct]
        folder = images_folder(self._folder, plain, self._given, *self._likely)
        return folder, self._known.setdefault(folder, Images(folder)).find_all(distinct)

    def count(self, names: Iterable[str]) -> int:
        """Return how many of some names are those of images."""
        folder, found = self.locate(names)
        return sum(is_file(folder / name) for name in found.values())

    def _as_written(self, names: Sequence[str]) -> list[Path]:
        """Return the files of names that are whole paths of this machine, or lead out of the folder; else nothing."""
        tried = sample(names)
        if names and all(os.path.isabs(name) for name in names):  # noqa: PTH117 - of a million
            return [Path(name) for name in names] if all(map(is_file, tried)) else []
        if not any("../" in name.replace("\\", "/") for name in names):
            return []
        there = {name: Path(os.path.normpath(self._folder / plain_name(name.strip()))) for name in names}
        return list(there.values()) if all(is_file(there[name]) for name in tried) else []


def images_folder(folder: Path, names: Sequence[str], given: Path | None, *likely: Path) -> Path:
    """Return the folder that names start from: the one given; else the one in or beside `folder` that has most of them.

    Of folders that have none, that goes first which has most last parts of the names, then that which has nearly all
    without endings; and of equals the first: those that are `likely`, `folder` itself, then those in it, then what lies
    around it.
    """
    if given is not None:
        return given
    tried = names[:: max(1, len(names) // _TRIED)]
    above = (folder, folder.parent)
    inside = [path for path in sorted(folder.iterdir()) if is_folder(path)] if is_folder(folder) else []
    places = dict.fromkeys([*likely, *(place / name for place in above for name in _BESIDE), *inside])
    return max((place for place in places if is_folder(place)), key=lambda place: _held(place, tried), default=folder)


def _held(folder: Path, names: Sequence[str]) -> tuple[int, int, bool]:
    if held := sum(is_file(folder / name) for name in names):
        return held, 0, False
    try:
        entries = {entry.lower() for entry in os.listdir(folder) if has_ending(entry)}  # noqa: PTH208 - of a million
    except OSError:  # it may not be entered
        return 0, 0, False
    last = [plain_name(name).rpartition("/")[2].lower() for name in names]
    stems = {os.path.splitext(entry)[0] for entry in entries}  # noqa: PTH122 - of a million
    found = sum(name in stems or os.path.splitext(name)[0] in stems for name in last)  # noqa: PTH122 - of a million
    return 0, sum(name in entries for name in last), found > _MOSTLY * len(names)


def images_of(source: Source, names: Sequence[str], given: Path | None) -> Images:
    """Return the images below the folder given; else that of the annotations where any are below it; else near it."""
    if given is None and source.is_folder and source.images:
        return Images(source.path, source.images)
    return Images(images_folder(source.folder, [plain_name(name) for name in names], given))


def from_one_folder(images: Sequence[tuple[Path, str]]) -> tuple[Path, list[str]]:
    """Return the folder that holds the folders of all images, and the images' names seen from there."""
    folders = {folder for folder, _ in images}
    if len(folders) == 1:
        return folders.pop(), [name for _, name in images]
    is_mixed = len({folder.is_absolute() for folder in folders}) > 1 or any(".." in path.parts for path in folders)
    whole = {folder: Path(os.path.abspath(folder)) if is_mixed else folder for folder in folders}  # noqa: PTH100 - of a million
    common = Path(os.path.commonpath(whole.values())) if folders else Path()
    below = {folder: os.path.relpath(path, common) for folder, path in whole.items()}
    return common, [Path(os.path.normpath(f"{below[folder]}/{name}")).as_posix() for folder, name in images]


def sample(cells: Sequence[str]) -> list[str]:
    """Return some of the cells that are not empty, from everywhere in them."""
    step = max(1, len(cells) // _TRIED)
    return list(dict.fromkeys(cell for cell in cells[::step] if cell.strip()))
