"""Folders that appear complete or not at all."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lightning_tasks.errors import DatasetNotFoundError


@contextmanager
def published_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder beside `target` that becomes `target` by one rename, or is removed after an error.

    Raises:
        DatasetNotFoundError: nothing can be written there.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise DatasetNotFoundError(
            f"{target} cannot be made ({error.strerror}). Choose another --data.root."
        ) from error
    try:
        yield work
        work.chmod(0o755)  # mkdtemp's folders are private
        work.replace(target)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
