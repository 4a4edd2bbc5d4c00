"""A zip of annotations and images, unpacked without trusting it."""

import lzma
import shutil
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from lightning_tasks.data.download.atomic_folder import atomic_folder, is_there
from lightning_tasks.data.tables.formats.source import HIDDEN
from lightning_tasks.errors import TableError
from lightning_tasks.filesystem import is_file

_MOST_TIMES_LARGER = 20  # JSON and XML pack well, but not better
_ALWAYS_FINE_BYTES = 2**30
_MOST_FILES = 5_000_000
_ITSELF = "Unpack it yourself, and name the folder."
# What damaged zips and full disks raise.
_ERRORS: tuple[type[Exception], ...] = (
    *(zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, lzma.LZMAError, EOFError, OSError),
    *(NotImplementedError, RuntimeError, ValueError),
)

_Members = dict[str, zipfile.ZipInfo]  # by the file's name, with / between folders


def unpack_zip(path: Path, target: Path) -> None:
    """Write what a zip holds to a new folder, the whole of it or nothing; where it has been made already, it stays.

    Raises:
        TableError: it cannot be unpacked, unpacks to far more than its own size, holds a link, another zip or a name
            that leads out of the folder, or the folder holds something else.
        DatasetNotFoundError: nothing can be written there.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = _checked(path, archive)
            with atomic_folder(target) as new:
                if is_there(target):
                    _require_same(path, target, members)
                else:
                    _unpack(archive, members, new)
    except _ERRORS as error:
        raise TableError(f"{path}: cannot be unpacked ({error}). {_ITSELF}") from error


def _unpack(archive: zipfile.ZipFile, members: _Members, folder: Path) -> None:
    for name, member in members.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(member) as content, file.open("wb") as written:
            shutil.copyfileobj(content, written, 2**20)


def _checked(path: Path, archive: zipfile.ZipFile) -> _Members:
    named = {member.filename.replace("\\", "/"): member for member in archive.infolist()}
    members = {name: member for name, member in named.items() if not name.endswith("/")}
    for name, member in members.items():
        parts = PurePosixPath(name).parts
        if not parts or name.startswith("/") or ".." in parts or ":" in parts[0]:
            raise TableError(f"{path}: it holds a name that leads out of its folder: {member.filename!r}.")
        if (member.external_attr >> 16) & 0o170000 == 0o120000:
            raise TableError(f"{path}: it holds a link: {member.filename!r}. {_ITSELF}")
        if name.lower().endswith(".zip") and not any(part.startswith(HIDDEN) for part in parts):
            raise TableError(f"{path}: it holds another zip: {name!r}. {_ITSELF}")
    limit_bytes = _MOST_TIMES_LARGER * path.stat().st_size + _ALWAYS_FINE_BYTES
    if sum(member.file_size for member in members.values()) > limit_bytes or len(members) > _MOST_FILES:
        raise TableError(f"{path}: it unpacks to far more than its own size. {_ITSELF}")
    return members


def _require_same(path: Path, target: Path, members: _Members) -> None:
    for name, member in members.items():
        file = target / name
        if not is_file(file) or file.stat().st_size != member.file_size:
            raise TableError(f"{target} is there already, and is not what {path} holds. Move it, or name that folder.")
