"""One archive from its address to a folder: checked, extracted safely, published by one rename."""

import hashlib
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from lightning_tasks.data.publish import published_folder
from lightning_tasks.errors import DownloadError

_MIB = 2**20
_TIMEOUT_S = 60


@dataclass(frozen=True)
class Archive:
    """A tar file that holds one folder. fastai publishes an md5 of the first mebibyte only."""

    url: str
    size_bytes: int
    md5_of_first_mib: str
    folder: str


PASCAL_2007 = Archive(
    url="https://s3.amazonaws.com/fast-ai-imagelocal/pascal_2007.tgz",
    size_bytes=1_637_796_771,
    md5_of_first_mib="433b4706eb7c42bd74e7f784e3fdf244",
    folder="pascal_2007",
)
BIWI_HEAD_POSE = Archive(
    url="https://s3.amazonaws.com/fast-ai-imagelocal/biwi_head_pose.tgz",
    size_bytes=452_316_199,
    md5_of_first_mib="00f4ccf66e8cba184bc292fdc08fb237",
    folder="biwi_head_pose",
)


def fetch(archive: Archive, root: Path) -> None:
    """Fetch `archive`, check it and publish its folder as `root`.

    The sha256 of what came is written beside it, as `<root>.sha256`; an archive fetched later must have the same.

    Raises:
        DownloadError: it cannot be fetched or is not what it should be; says how to do it by hand. Nothing is left.
    """
    import pooch  # here alone: whoever has the data need not wait for two HTTP clients
    import requests

    by_hand = f"Fetch {archive.url} by hand and unpack it, then name the folder: --data.root FOLDER"
    with published_folder(root) as work, tempfile.TemporaryDirectory(prefix=".download.", dir=root.parent) as download:
        try:
            path = pooch.retrieve(
                archive.url,
                known_hash=None,  # no full hash is published; see _check
                fname="archive.tgz",
                path=download,
                downloader=pooch.HTTPDownloader(progressbar=True, timeout=_TIMEOUT_S),
            )
        except (requests.RequestException, OSError) as error:
            raise DownloadError(f"{archive.url} cannot be fetched ({error}). {by_hand}") from error
        sha256 = _check(archive, Path(path), root.with_name(root.name + ".sha256"))
        try:
            with tarfile.open(path) as tar:
                for member in tqdm(tar, desc=f"unpacking {archive.folder}", unit=" files"):
                    tar.extract(member, work, filter="data")
            inner = work / archive.folder
            for child in inner.iterdir():
                child.rename(work / child.name)
            inner.rmdir()
        except (tarfile.TarError, EOFError, OSError) as error:
            raise DownloadError(f"{archive.url} cannot be unpacked ({error}). {by_hand}") from error
    root.with_name(root.name + ".sha256").write_text(f"{sha256}  {archive.url}\n", encoding="ascii")


def _check(archive: Archive, path: Path, record: Path) -> str:
    size = path.stat().st_size
    if size != archive.size_bytes:
        raise DownloadError(f"{archive.url}: {size:,} bytes came, {archive.size_bytes:,} were expected. Try again.")
    with path.open("rb") as file:
        if hashlib.md5(file.read(_MIB), usedforsecurity=False).hexdigest() != archive.md5_of_first_mib:
            raise DownloadError(f"{archive.url}: the first mebibyte is not the published one. Try again.")
        file.seek(0)
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if record.is_file() and record.read_text(encoding="ascii").split()[:1] != [sha256]:
        raise DownloadError(
            f"{archive.url}: its sha256 is not the one of the last time, in {record}. If the archive was published "
            "anew, remove that file and try again."
        )
    return sha256
