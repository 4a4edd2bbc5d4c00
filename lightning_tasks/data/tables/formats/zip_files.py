"""A zip of annotations and images, unpacked without trusting it."""

import shutil
import zipfile
from pathlib import Path, PurePosixPath

from lightning_tasks.data.download.atomic_folder import atomic_folder, is_there
from lightning_tasks.errors import TableError
from lightning_tasks.filesystem import is_file

_MOST_TIMES_LARGER = 20  # JSON and XML pack well, but not better
_ALWAYS_FINE_BYTES = 2**30
_MOST_FILES = 5_000_000


def unpack_zip(path: Path, target: Path) -> None:
    """Write what a zip holds to a new folder, the whole of it or nothing; where it has been made already, it stays.

    Raises:
        TableError: it cannot be unpacked, unpacks to far more than its own size, holds a link or a name that leads out
            of the folder, or the folder holds something else.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = _checked(path, archive)
            with atomic_folder(target) as new:
                if is_there(target):
                    _require_same(path, target, members)
                    return
                for member in members:
                    file = new / member.filename
                    file.parent.mkdir(parents=True, exist_ok=True)
                    with archive.open(member) as content, file.open("wb") as written:
                        shutil.copyfileobj(content, written, 2**20)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, zipfile.LargeZipFile) as error:
        raise TableError(f"{path}: cannot be unpacked ({error}). Unpack it yourself, and name the folder.") from error


def _checked(path: Path, archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    members = [member for member in archive.infolist() if not member.is_dir()]
    for member in members:
        name = PurePosixPath(member.filename.replace("\\", "/"))
        if name.is_absolute() or ".." in name.parts or ":" in name.parts[0]:
            raise TableError(f"{path}: it holds a name that leads out of its folder: {member.filename!r}.")
        if (member.external_attr >> 16) & 0o170000 == 0o120000:
            raise TableError(f"{path}: it holds a link: {member.filename!r}. Unpack it yourself, and name the folder.")
    limit_bytes = _MOST_TIMES_LARGER * path.stat().st_size + _ALWAYS_FINE_BYTES
    if sum(member.file_size for member in members) > limit_bytes or len(members) > _MOST_FILES:
        raise TableError(f"{path}: it unpacks to far more than its own size. Unpack it yourself, and name the folder.")
    return members


def _require_same(path: Path, target: Path, members: list[zipfile.ZipInfo]) -> None:
    for member in members:
        file = target / member.filename
        if not is_file(file) or file.stat().st_size != member.file_size:
            raise TableError(f"{target} is there already, and is not what {path} holds. Move it, or name that folder.")
