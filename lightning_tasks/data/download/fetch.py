"""One archive from its addresses to a folder: fetched, checked, unpacked and published by one rename."""

import contextlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from lightning_tasks.atomic_write import write_whole
from lightning_tasks.data.download.archives import (
    Archive,
    NotTheArchiveError,
    Partial,
    Patience,
    checked_sha256,
    require_space,
)
from lightning_tasks.data.download.atomic_folder import atomic_folder, hidden_path, is_there, remove_leftovers
from lightning_tasks.data.download.unpack import unpack
from lightning_tasks.errors import DownloadError
from lightning_tasks.filesystem import expand_path


def fetch(archive: Archive, root: Path, mirrors: Sequence[str] = (), patience: Patience | None = None) -> None:
    """Make the archive's folder `root`, unless it is there: then nothing is asked of the network.

    One address is tried after the other, first the `mirrors`, which may be paths of files. What has come lies beside
    `root`, in a hidden file, until the folder has been published, and the next run resumes there. The sha256 of what
    came is written beside `root`, as `<root>.sha256`; an archive fetched later must have the same.

    Raises:
        DownloadError: it cannot be fetched, or is not what it should be, or there is no room for it; says how to do it
            by hand. There is no `root` then.
        DatasetNotFoundError: nothing can be written there.
    """
    root = root.resolve()
    if not root.name:
        return  # a whole disk
    partial = Partial(hidden_path(root, "part"))
    if is_there(root):
        with contextlib.suppress(OSError):  # the data may lie where nothing can be written
            partial.discard()
            remove_leftovers(root)
        return
    with atomic_folder(root) as work:
        if is_there(root):
            return  # another process made it
        try:
            addresses = [*mirrors, *archive.urls]
            sha256 = _first_that_gives_it(archive, addresses, root, work, partial, patience or Patience())
            write_whole(_record(root), lambda new: new.write_text(f"{sha256}  {archive.name}\n", encoding="utf-8"))
        except OSError as error:
            raise DownloadError(
                f"{root} cannot be made ({error.strerror or error}). What has come is kept: put that right, or choose "
                "another --data.root."
            ) from error
    partial.discard()


def _first_that_gives_it(
    archive: Archive, addresses: Sequence[str], root: Path, work: Path, partial: Partial, patience: Patience
) -> str:
    """Unpack what the first good address gives, and return its sha256."""
    # Two HTTP clients: not before.
    from lightning_tasks.data.download.http import CannotFetchError, download, without_secrets

    reasons = []
    for address in addresses:
        try:
            if (file := _local_file(address)) is not None:
                if not file.is_file():
                    raise CannotFetchError("there is no such file")
                return _accept(archive, file, root, work)
            resumed = partial.size_bytes > 0
            while True:
                download(archive, address, partial, patience)
                try:
                    return _accept(archive, partial.path, root, work)
                except NotTheArchiveError:
                    partial.discard()
                    if not resumed:
                        raise
                    resumed = False  # old and new may not have belonged together: once more from the start
        except (CannotFetchError, NotTheArchiveError) as error:
            reasons.append(f"  {without_secrets(address)}: {error}")
    kept = f"{partial.size_bytes:,} bytes have come; the next try resumes there. " if partial.size_bytes else ""
    raise DownloadError(
        f"{archive.name} cannot be fetched:\n" + "\n".join(reasons) + f"\n{kept}Try again later, name another address "
        "or a file of it (--data.mirrors '[ADDRESS]'), or unpack it by hand and name the folder (--data.root FOLDER)."
    )


def _local_file(address: str) -> Path | None:
    if address.startswith("file://"):
        return Path(url2pathname(urlsplit(address).path))
    return Path(expand_path(address)) if "://" not in address else None


def _accept(archive: Archive, file: Path, root: Path, work: Path) -> str:
    """Check the file, unpack it into `work`, and return its sha256."""
    sha256 = checked_sha256(archive, file)
    record = _record(root)
    if record.is_file() and record.read_text(encoding="utf-8").split()[:1] != [sha256]:
        raise NotTheArchiveError(
            f"its sha256 is not the one of the last time, in {record}; if it was published anew, remove that file"
        )
    require_space(root.parent, file.stat().st_size, 0)
    try:
        unpack(file, archive.folder, work)
    except NotTheArchiveError:
        shutil.rmtree(work)
        work.mkdir()  # for the next address
        raise
    return sha256


def _record(root: Path) -> Path:
    return root.with_name(f"{root.name}.sha256")
