"""Atomic directory creation: a folder appears complete or not at all, and one process makes it."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lightning_tasks.atomic_write import sync
from lightning_tasks.errors import DatasetNotFoundError
from lightning_tasks.filesystem import exists, is_folder


def hidden_path(target: Path, kind: str) -> Path:
    """Return the name beside `target` of what belongs to its making."""
    return target.with_name(f".{target.name}.{kind}")


def is_there(target: Path) -> bool:
    """Return whether `target` has been made, as an empty folder has not; raise DatasetNotFoundError if it is closed."""
    try:
        return exists(target) and not (is_folder(target) and not any(target.iterdir()))
    except OSError as error:
        raise DatasetNotFoundError(
            f"{target} cannot be read ({error.strerror}). Choose another --data.root."
        ) from error


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder beside `target` that becomes `target` by one rename, or is removed after an error.

    Of several processes one is inside at a time, and the others wait: ask there whether `target` `is_there`. If it is,
    it stays as it is. Raises DatasetNotFoundError where nothing can be written.
    """
    with _making(target):  # a name too long, a folder that may not be entered, links in a circle
        target = target.resolve()  # a link to an empty folder stays: what it leads to is made
        mounted = target.is_mount()
    if mounted:
        raise DatasetNotFoundError(
            f"{target} is a mount point, which cannot be made. Name a folder in it: --data.root."
        )
    work = hidden_path(target, "new")
    with _making(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = _acquire(target)
    try:
        with _making(target):
            shutil.rmtree(work, ignore_errors=True)  # of a run that was killed
            work.mkdir(exist_ok=True)
        yield work
        with _making(target):
            if not is_there(target):
                if is_folder(target):
                    target.rmdir()  # it is empty; not every system renames onto a folder
                if hasattr(os, "sync"):
                    os.sync()  # many small files at once; or a power failure could leave their names without content
                work.replace(target)
                sync(target.parent)
    finally:
        shutil.rmtree(work, ignore_errors=True)
        lock.release()
        if is_there(target):
            remove_leftovers(target)


def remove_leftovers(target: Path) -> None:
    """Remove what belonged to the making of a folder that is there.

    The lock too: whoever waits for it finds the folder made, so it does not matter any more who has which.
    """
    shutil.rmtree(hidden_path(target, "new"), ignore_errors=True)
    with contextlib.suppress(OSError):  # where it is open somewhere, or nothing may be removed
        hidden_path(target, "lock").unlink(missing_ok=True)


def _acquire(target: Path) -> FileLock:
    lock = FileLock(hidden_path(target, "lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"waiting for another process that makes {target}", flush=True)
        lock.acquire()
    return lock


@contextmanager
def _making(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DatasetNotFoundError(
            f"{target} cannot be made ({error.strerror}). Choose another --data.root."
        ) from error
