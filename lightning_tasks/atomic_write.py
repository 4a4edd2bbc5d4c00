"""Writing a file: the whole of it or none, whatever is killed and whenever the power fails."""

import contextlib
import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from lightning_tasks.errors import ConfigError
from lightning_tasks.filesystem import exists, is_file, is_folder

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_PREFIX = ".new-lightning_tasks-"
_tidied: set[Path] = set()  # folders that were looked through for what a kill has left: once is enough, for a process


def require_place(path: Path, inputs: Iterable[Path] = ()) -> None:
    """Look whether a file can be written to `path`, before the work for it is done. Nothing is left there.

    Raises:
        ConfigError: it cannot, or it is one of `inputs`, which the work needs.
    """
    if exists(path) and not is_file(path):
        what = "it is a folder" if is_folder(path) else "it is no plain file"
        raise ConfigError(f"{path} cannot be written ({what}). Choose another place or name.")
    if exists(path) and any(exists(read) and path.samefile(read) for read in inputs):
        raise ConfigError(f"{path} is read here, and would be written over. Choose another place or name.")
    try:
        above = nearest_folder(path)
        for part in (path, *(above / name for name in path.absolute().relative_to(above).parts)):
            with contextlib.suppress(FileNotFoundError):
                part.lstat()  # a name too long, a file where a folder should be
        with tempfile.TemporaryFile(dir=above):
            pass
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror}). Choose another place or name.") from error


def nearest_folder(path: Path) -> Path:
    """Return the folder above `path` that there is: its own, or where that would be made."""
    return next(folder for folder in path.absolute().parents if exists(folder))


def write_whole(path: Path, write: Callable[[Path], object], *, durable: bool = True) -> None:
    """Do as `put_whole`, for a file that the user named; ConfigError where it cannot be written there."""
    try:
        put_whole(path, write, durable=durable)
    except (OSError, ValueError) as error:  # ValueError: matplotlib knows no such format
        reason = getattr(error, "strerror", None) or str(error).partition("(")[0].strip()
        raise ConfigError(f"{path} cannot be written ({reason}). Choose another place or name.") from error


def put_whole(path: Path, write: Callable[[Path], object], *, durable: bool = True) -> None:
    """Let `write` make the file in a folder beside its place, and put it there when it is complete.

    The folder is this call's alone: of several threads or processes that write one file each puts a whole one there,
    and the last one's stays. Whatever else `write` leaves in it is removed.

    Args:
        path: the place. Its folder is made if need be.
        write: makes the file that it is given, of the same name.
        durable: wait until content and name are on the disk, so that a power failure leaves the old file or the new
            one. False: for many small files that are quickly made again.

    Raises:
        OSError: it cannot be written there; nothing is left of it.
    """
    make_whole(path, write, durable=durable)()


def make_whole(path: Path, write: Callable[[Path], object], *, durable: bool = True) -> Callable[[], None]:
    """Do the first half of `put_whole`, and return the second, which another thread may do: it waits for the disk.

    The first half makes the file complete; the second puts it in its place. For the rest see `put_whole`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if (parent := path.parent.absolute()) not in _tidied:
        _tidied.add(parent)
        remove_leftovers(parent)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(_locked_folder(path.parent))
        new = folder / path.name
        write(new)
        with contextlib.suppress(OSError):  # of a file system without modes
            new.chmod(folder.stat().st_mode & 0o666)  # as the user's umask has it: some libraries write for him alone
        lasting = stack.pop_all()

    def put() -> None:
        with lasting:
            if durable:
                sync(new)
            new.replace(path)
        if durable:
            sync(path.parent)

    return put


def sync(path: Path) -> None:
    """Wait until a file's content, or the names in a folder, are on the disk.

    Raises:
        OSError: the disk is full, or has failed. That the system cannot do it, as Windows for folders, is no error.
    """
    try:
        with _open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR) as descriptor:
            os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EINVAL, errno.ENOTSUP):
            raise


def remove_leftovers(folder: Path) -> None:
    """Remove what writers of files in `folder` have left that were killed: nobody holds its lock any more."""
    if fcntl is None:
        return
    for left in folder.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError), _open(left) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def _locked_folder(parent: Path) -> Iterator[Path]:
    """Yield a new folder in `parent`, locked as long as it is there."""
    while True:
        folder = parent / f"{_PREFIX}{secrets.token_hex(6)}"
        folder.mkdir()
        with contextlib.ExitStack() as stack:
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            if fcntl is not None:
                try:
                    descriptor = stack.enter_context(_open(folder))
                except FileNotFoundError:
                    continue  # another process took it for a leftover before it could be opened
                with contextlib.suppress(OSError):  # of a file system without locks
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
                if not folder.is_dir():
                    continue  # or before it was locked
            yield folder
            return


@contextlib.contextmanager
def _open(path: Path, flags: int = os.O_RDONLY) -> Iterator[int]:
    descriptor = os.open(path, flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
