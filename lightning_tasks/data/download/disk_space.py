"""What an archive takes on the disk, before it takes it."""

import shutil
from pathlib import Path

from lightning_tasks.errors import DownloadError

_UNPACKED_SHARE = 1.25  # of the archive's size: images are compressed already, small files fill whole blocks
_GB = 1e9


def require_space(folder: Path, size_bytes: int, remaining_bytes: int) -> None:
    """Check that what is left to fetch of an archive of `size_bytes` fits into `folder`, and its content beside it.

    Raises:
        DownloadError: it does not.
    """
    needed = remaining_bytes + round(_UNPACKED_SHARE * size_bytes)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DownloadError(
            f"{folder.absolute()} has {free / _GB:.2f} GB free, and {needed / _GB:.2f} GB are needed: "
            f"{remaining_bytes / _GB:.2f} still to fetch, the rest to unpack. Make room, or choose another place: "
            "--data.root FOLDER."
        )
