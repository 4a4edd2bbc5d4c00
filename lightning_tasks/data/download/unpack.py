"""A tar file to a folder, without trusting the tar file."""

import errno
import gzip
import shutil
import tarfile
import zlib
from pathlib import Path, PurePath, PurePosixPath
from typing import IO

from tqdm import tqdm

from lightning_tasks.data.download.archives import NotTheArchiveError

_MOST_FILES = 200_000  # the archives that are known hold up to some 50,000
_MOST_TIMES_LARGER = 4  # images are compressed already
_ALWAYS_FINE_BYTES = 16 * 2**20  # small archives are mostly tar's own headers, which compress well
_BLOCK = 2**20

# What says that the disk is at fault, and not what the archive holds.
_DISKS_OWN = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM}


class _Bounded:
    """A stream that ends in an error past a number of bytes."""

    def __init__(self, stream: IO[bytes], limit_bytes: int) -> None:
        self.stream = stream
        self.left = limit_bytes

    def read(self, size: int) -> bytes:
        data = self.stream.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise NotTheArchiveError("it unpacks to far more than its own size")
        return data


def unpack(path: Path, folder: str, target: Path) -> None:
    """Write the content of `folder` in the tar file to the folder `target`; what lies beside it there is left out.

    Raises:
        NotTheArchiveError: it is no whole tar file, has no such folder, holds a link, a device or a name that leads
            out of it, or unpacks to too much.
        OSError: the disk is full or fails.
    """
    limit_bytes = _MOST_TIMES_LARGER * path.stat().st_size + _ALWAYS_FINE_BYTES
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            with gzip.GzipFile(fileobj=file) if packed else file as stream:
                bounded = _Bounded(stream, limit_bytes)  # type: ignore[arg-type]  # GzipFile reads as a file does
                _extract(bounded, folder, target, limit_bytes)
                while bounded.read(_BLOCK):  # up to gzip's checksum, which stands behind the end of the tar
                    pass
    except (tarfile.TarError, EOFError, ValueError, zlib.error) as error:
        raise NotTheArchiveError(f"it cannot be unpacked ({error})") from error
    except OSError as error:
        if error.errno in _DISKS_OWN:
            raise
        raise NotTheArchiveError(f"it cannot be unpacked ({error.strerror or error})") from error


def _extract(stream: _Bounded, folder: str, target: Path, limit_bytes: int) -> None:
    files, found = 0, False
    with (
        tarfile.open(fileobj=stream, mode="r|") as tar,  # type: ignore[call-overload]  # it only reads
        tqdm(tar, desc=f"unpacking {folder}", unit=" files", leave=False, disable=None) as members,
    ):
        for member in members:
            name = PurePosixPath(member.name)
            as_named = (name, PurePath(member.name))  # in the tar, and by the system
            if any(path.anchor or ".." in path.parts for path in as_named):
                raise NotTheArchiveError(f"it holds a name that leads out of its folder: {member.name!r}")
            if not (member.isdir() or member.isreg()):
                raise NotTheArchiveError(f"it holds a link or a device: {member.name!r}")
            files += 1
            if files > _MOST_FILES:
                raise NotTheArchiveError(f"it holds more than {_MOST_FILES:,} files")
            limit_bytes -= member.size  # as its header has it: a file with holes is not read in full
            if limit_bytes < 0:
                raise NotTheArchiveError("it unpacks to far more than its own size")
            if name.parts[:1] != (folder,):
                continue
            found = True
            if name.parts[1:]:
                _write(tar, member, target.joinpath(*name.parts[1:]))
    if not found:
        raise NotTheArchiveError(f"it holds no folder {folder}")


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    """Write a folder or a regular file that is the user's own: of the tar's modes and owners nothing is kept.

    Not by `TarFile.extract`, which is safe with a filter alone; Python knows those from 3.11.4 on.
    """
    if member.isdir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    content = tar.extractfile(member)
    assert content is not None  # of a regular file
    with content, path.open("wb") as file:
        shutil.copyfileobj(content, file, _BLOCK)
