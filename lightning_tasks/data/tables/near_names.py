"""Which file a table means by a name that no file has."""

import os
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path

from lightning_tasks.data.tables.paths import Confines
from lightning_tasks.filesystem import is_file, is_folder

# How the names of images end that can be read, in lower case.
IMAGES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg", ".pjp", ".mpo", ".png", ".apng", ".gif", ".webp", ".avif"),
        *(".heic", ".heif", ".hif", ".heics", ".heifs"),
        *(".avifs", ".bmp", ".dib", ".tif", ".tiff", ".jp2", ".jpx", ".jpf", ".j2k", ".j2c", ".jpc", ".tga", ".icb"),
        *(".ppm", ".pgm", ".pbm", ".pnm", ".vda", ".vst", ".pcx", ".sgi", ".ras", ".qoi", ".dds"),
    )
)

_SUBFOLDERS = 20  # that are looked into

Entries = dict[str, list[str]]  # what a folder holds, by how it is compared


class NearNames:
    r"""The files that a name may mean which no file has. Each folder is listed once, and only when it is asked for.

    A file fits a name that differs from its own in how letters are composed (macOS takes é apart), in blanks around a
    part, in `\` for `/`, in case, or in lacking the ending of an image. Nothing outside of `confines` is looked at.
    """

    def __init__(self, folder: Path, confines: Confines | None) -> None:
        self._folder = folder
        self._confines = confines
        self._by_name: dict[str, Entries] = {}  # by folder, seen from `folder`
        self._by_stem: dict[str, Entries] = {}  # images alone
        self._listable: dict[str, bool] = {}
        self._fitting_folders: dict[tuple[str, ...], list[str]] = {}

    def fitting(self, name: str) -> list[str]:
        """Return the files that fit a name best, seen from the folder: several where it does not tell them apart."""
        parts = _parts(name)
        if not parts:
            return []
        folders = self._folders(name, parts[:-1])
        found = self._files((above, entry) for above in folders for entry in self._called(above, parts[-1]))
        if found:
            return _most_alike(name, {file: file for file in found})
        if _ending(parts[-1]) in IMAGES:
            return []
        found = self._files((above, entry) for above in folders for entry in self._beginning(above, parts[-1]))
        return _most_alike(name, {file: os.path.splitext(file)[0] for file in found})  # noqa: PTH122

    def with_other_endings(self, name: str) -> list[str]:
        """Return the images that are called like a name but for its ending: often its masks, so none is taken."""
        parts = _parts(name)
        if not parts:
            return []
        stem, folders = os.path.splitext(parts[-1])[0], self._folders(name, parts[:-1])  # noqa: PTH122
        return self._files((above, entry) for above in folders for entry in self._beginning(above, stem))

    def elsewhere(self, name: str) -> list[str]:
        """Return the files that a name fits in another folder: with fewer folders before it, or one further down.

        Tables bring along the folders of the machine where they were made, or leave out that of the images.
        """
        parts = _parts(name)
        for start in range(1, len(parts)):
            if found := self.fitting("/".join(parts[start:])):
                return found
        return [file for folder in self._subfolders for file in self.fitting("/".join((folder, *parts)))]

    @cached_property
    def _subfolders(self) -> list[str]:
        folders = (name for name in self._list("") if _ending(name) not in IMAGES and is_folder(self._folder / name))
        return list(islice(folders, _SUBFOLDERS))

    def _folders(self, name: str, parts: Sequence[str]) -> list[str]:
        key = (os.sep if name.startswith(("/", "\\")) else "", *parts)
        if key not in self._fitting_folders:
            folders = [key[0]]
            for part in parts:
                folders = [os.path.join(above, entry) for above in folders for entry in self._below(above, part)]  # noqa: PTH118
            self._fitting_folders[key] = folders
        return self._fitting_folders[key]

    def _below(self, above: str, part: str) -> list[str]:
        if part == ".." or not self._may_be_listed(above):
            return [part]  # where it leads is seen at its end
        return self._called(above, part)

    def _files(self, found: Iterable[tuple[str, str]]) -> list[str]:
        names = [os.path.join(*parts) for parts in found]  # noqa: PTH118
        ours = (name for name in names if self._confines is None or self._confines.hold(self._folder / name))
        return [name for name in ours if is_file(self._folder / name)]

    def _called(self, above: str, name: str) -> list[str]:
        if above not in self._by_name:
            self._by_name[above] = _by_key((_loose(entry), entry) for entry in self._list(above))
        return self._by_name[above].get(_loose(name), [])

    def _beginning(self, above: str, stem: str) -> list[str]:
        if above not in self._by_stem:
            images = (entry for entry in self._list(above) if _ending(entry) in IMAGES)
            self._by_stem[above] = _by_key((_loose(os.path.splitext(entry)[0]), entry) for entry in images)  # noqa: PTH122
        return self._by_stem[above].get(_loose(stem), [])

    def _list(self, above: str) -> list[str]:
        if not self._may_be_listed(above):
            return []
        try:
            return sorted(os.listdir(self._folder / above))  # noqa: PTH208 - names alone
        except (OSError, ValueError):  # there is none, or no folder can be called so
            return []

    def _may_be_listed(self, above: str) -> bool:
        if above not in self._listable:
            try:
                real = os.path.realpath(self._folder / above)
                self._listable[above] = self._confines is None or self._confines.hold_real(real)
            except (OSError, ValueError):  # no folder can be called so: a zero byte, say
                self._listable[above] = False
        return self._listable[above]


def _most_alike(name: str, files: dict[str, str]) -> list[str]:
    """Return, of files and what of their names counts, those that are written as `name` is; else all."""
    wanted = _composed(name)
    return [file for file, counts in files.items() if _composed(counts) == wanted] or [*files]


def _by_key(entries: Iterable[tuple[str, str]]) -> Entries:
    found: Entries = {}
    for key, entry in entries:
        found.setdefault(key, []).append(entry)
    return found


def _parts(name: str) -> list[str]:
    return [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]


def _ending(name: str) -> str:
    return os.path.splitext(name.strip())[1].lower()  # noqa: PTH122 - of many names


def _composed(name: str) -> list[str]:
    return [unicodedata.normalize("NFC", part).strip() for part in _parts(name)]


def _loose(part: str) -> str:
    if part.isascii():  # most are, and it is quick
        return part.strip().lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", part).strip().casefold())
