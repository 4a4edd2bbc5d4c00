"""The archives that `prepare` fetches: where they are, how each is recognised, and what has come of one."""

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import urlsplit

from lightning_tasks.errors import DownloadError

_MIB = 2**20
_UNPACKED_SHARE = 1.25  # of the archive's size: images are compressed already, small files fill whole blocks
_GB = 1e9


class Patience(NamedTuple):
    """How long to wait, and how often to try."""

    tries: int = 5
    connect_s: float = 15
    stall_s: float = 45  # without a byte
    backoff_s: float = 1  # before the second try, doubled before each one after
    longest_wait_s: int = 60  # that a server may ask for


class NotTheArchiveError(Exception):
    """What came is not what it should be. Its text is the reason."""


@dataclass(frozen=True)
class Archive:
    """A tar file, compressed by gzip or not; and what is known of it beforehand, or None."""

    urls: tuple[str, ...]  # its addresses, in the order to try them
    folder: str  # in it, whose content is the data set
    size_bytes: int | None = None
    md5_of_first_mib: str | None = None  # of the first 2^20 bytes, which is all that fastai publishes
    md5: str | None = None  # of the whole file

    @property
    def name(self) -> str:
        """The file's name."""
        return PurePosixPath(urlsplit(self.urls[0]).path).name


PASCAL_2007 = Archive(
    urls=(
        "https://s3.amazonaws.com/fast-ai-imagelocal/pascal_2007.tgz",
        "https://fast-ai-imagelocal.s3.amazonaws.com/pascal_2007.tgz",  # the same by the name of its bucket
    ),
    folder="pascal_2007",
    size_bytes=1_637_796_771,
    md5_of_first_mib="433b4706eb7c42bd74e7f784e3fdf244",
)
BIWI_HEAD_POSE = Archive(
    urls=(
        "https://s3.amazonaws.com/fast-ai-imagelocal/biwi_head_pose.tgz",
        "https://fast-ai-imagelocal.s3.amazonaws.com/biwi_head_pose.tgz",
    ),
    folder="biwi_head_pose",
    size_bytes=452_316_199,
    md5_of_first_mib="00f4ccf66e8cba184bc292fdc08fb237",
)


def checked_sha256(archive: Archive, path: Path) -> str:
    """Return the sha256 of the file at `path`; raise NotTheArchiveError unless all that is known of it holds."""
    size = path.stat().st_size
    if archive.size_bytes is not None and size != archive.size_bytes:
        raise NotTheArchiveError(f"{size:,} bytes came, {archive.size_bytes:,} were expected")
    with path.open("rb") as file:
        first = hashlib.md5(file.read(_MIB), usedforsecurity=False)
        if archive.md5_of_first_mib not in (None, first.hexdigest()):
            raise NotTheArchiveError("its first mebibyte is not the published one (md5)")
        file.seek(0)
        md5 = archive.md5 and hashlib.file_digest(file, "md5").hexdigest()
        if md5 != archive.md5:
            raise NotTheArchiveError("its md5 is not the published one")
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()


class Origin(NamedTuple):
    """Where a partial file came from, so that nothing else is glued to it."""

    archive: str
    address: str
    validator: str | None  # the server's ETag, or time of change
    total_bytes: int | None  # of the whole


class Partial:
    """What has come of an archive: a file that grows until it is whole, over several runs if need be.

    A note of where it came from lies beside it, with `.json` at the end.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._note = path.with_name(f"{path.name}.json")

    @property
    def origin(self) -> Origin | None:
        """Where it came from; None: there is none that could be resumed."""
        try:
            noted = Origin(**json.loads(self._note.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):  # TypeError: not the fields of an Origin
            return None
        return noted if self.path.is_file() else None

    @property
    def size_bytes(self) -> int:
        """How much has come."""
        return self.path.stat().st_size if self.origin is not None else 0

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing, as far as is known."""
        origin = self.origin
        return origin is not None and self.size_bytes == origin.total_bytes

    def start(self, origin: Origin) -> None:
        """Begin anew with an empty file."""
        self.discard()
        self.note(origin)
        self.path.touch()

    def note(self, origin: Origin) -> None:
        """Write down where it came from. A note that a kill cuts short counts as none."""
        self._note.write_text(json.dumps(origin._asdict()), encoding="utf-8")

    def discard(self) -> None:
        """Remove it."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)


def require_space(folder: Path, size_bytes: int, remaining_bytes: int) -> None:
    """Raise DownloadError unless what is left to fetch of an archive of `size_bytes`, and its content, fit a folder."""
    needed = remaining_bytes + round(_UNPACKED_SHARE * size_bytes)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DownloadError(
            f"{folder.absolute()} has {free / _GB:.2f} GB free, and {needed / _GB:.2f} GB are needed: "
            f"{remaining_bytes / _GB:.2f} still to fetch, the rest to unpack. Make room, or choose another place: "
            "--data.root FOLDER."
        )
