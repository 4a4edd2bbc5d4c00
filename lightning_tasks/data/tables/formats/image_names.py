"""Which image a name in annotations means: they were made on another machine, and keep its folders."""

import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

from lightning_tasks.data.tables.formats.source import Source
from lightning_tasks.data.tables.near_names import IMAGES
from lightning_tasks.filesystem import is_file, is_folder

_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_TRIED = 50  # names by which a folder is known to be that of the images
_MOSTLY = 0.9
_BESIDE = ("", "images", "Images", "JPEGImages", "data", "img", "imgs")
_UPLOAD = re.compile(r"[0-9a-f]{8}-(?=.)")  # what Label Studio puts before an uploaded file's name


def split_of_folder(name: str) -> str:
    """Return train, val or test for a folder's name that says so, such as `valid` or `train2017`; else ""."""
    return _SPLITS.get(re.sub(r"\d+$", "", name).lower(), "")


def images_folder(folder: Path, names: Sequence[str], given: Path | None, *likely: Path) -> Path:
    """Return the folder that names start from: the one given; else the one in or beside `folder` that has most of them.

    Of folders that have none, that counts which has nearly all last parts of the names, without endings; and of equals
    the first: those that are `likely`, `folder` itself, then those in it, then what lies around it.
    """
    if given is not None:
        return given
    tried = names[:: max(1, len(names) // _TRIED)]
    above = (folder, folder.parent)
    inside = [path for path in sorted(folder.iterdir()) if is_folder(path)] if is_folder(folder) else []
    places = dict.fromkeys([*likely, *(place / name for place in above for name in _BESIDE), *inside])
    return max((place for place in places if is_folder(place)), key=lambda place: _held(place, tried), default=folder)


def _held(folder: Path, names: Sequence[str]) -> tuple[int, bool]:
    if held := sum(is_file(folder / name) for name in names):
        return held, False
    try:
        stems = {PurePosixPath(entry).stem.lower() for entry in os.listdir(folder) if has_ending(entry)}  # noqa: PTH208
    except OSError:  # it may not be entered
        return 0, False
    last = [PurePosixPath(plain_name(name)).name.lower() for name in names]
    found = sum(name in stems or PurePosixPath(name).stem in stems for name in last)
    return 0, found > _MOSTLY * len(names)


def found_names(folder: Path, names: Sequence[str]) -> list[str]:
    """Return which images below `folder` are meant, as `ImageNames.find` does; it is searched only where one misses."""
    plain = [plain_name(name) for name in names]
    above = {name.rpartition("/")[0] for name in plain}
    listed = {place: set(os.listdir(folder / place)) for place in above if is_folder(folder / place)}  # noqa: PTH208
    if all(last in listed.get(place, ()) for place, _, last in (name.rpartition("/") for name in plain)):
        return plain
    images = ImageNames(folder, Source(folder).images)
    return [images.find(name) for name in names] if images else plain


def from_one_folder(images: Sequence[tuple[Path, str]]) -> tuple[Path, list[str]]:
    """Return the folder that holds the folders of all images, and the images' names seen from there."""
    folders = {folder for folder, _ in images}
    if len(folders) == 1:
        return folders.pop(), [name for _, name in images]
    common = Path(os.path.commonpath(folders)) if folders else Path()
    return common, [Path(os.path.relpath(folder / name, common)).as_posix() for folder, name in images]


class ImageNames:
    """The images below a folder, by what others may call them."""

    def __init__(self, folder: Path, paths: Sequence[Path]) -> None:
        """`paths` are the images below `folder`."""
        self._names: dict[str, list[str]] = {}
        self._all = set()
        for path in paths:
            name = path.relative_to(folder).as_posix()
            self._all.add(name)
            for key in {path.name.lower(), path.stem.lower()}:
                self._names.setdefault(key, []).append(name)

    def __len__(self) -> int:
        return len(self._all)

    def find(self, name: str) -> str:
        r"""Return the image that a name means, seen from the folder; the name itself where none or several are meant.

        It may be a path of another machine, with `\`, a URL, `/data/local-files/?d=...`, `s3://...`, or without its
        ending.
        """
        plain = plain_name(name)
        if plain in self._all:
            return plain
        parts = PurePosixPath(plain).parts
        for start in range(len(parts)):
            if (tail := "/".join(parts[start:])) in self._all:
                return tail
        last = parts[-1].lower() if parts else ""
        for key in dict.fromkeys((last, _UPLOAD.sub("", last, count=1))):
            if len(found := self._names.get(key, [])) == 1:
                return found[0]
        return plain


def plain_name(name: str) -> str:
    r"""Return a path with `/` in place of `\`, and of a URL the path that it has."""
    if "://" in name or name.startswith("/data/"):
        parts = urlsplit(name)
        name = parse_qs(parts.query).get("d", [unquote(parts.path)])[0]
    return name.replace("\\", "/").removeprefix("./").lstrip("/") or name


def has_ending(name: str) -> bool:
    """Return whether a name ends like an image's."""
    return PurePosixPath(name).suffix.lower() in IMAGES
