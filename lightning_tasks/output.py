"""Writing a file: the whole of it or none."""

import contextlib
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from matplotlib.figure import Figure

from lightning_tasks.errors import ConfigError
from lightning_tasks.filesystem import exists, is_file, is_folder

DRAWN = "drawn by lightning-tasks"  # stands near the beginning of each PNG that is written for people to look at
DRAWN_PNG = {"Software": DRAWN}
_PNG_HEAD = 512  # bytes; texts stand before the pixels


def require_place(path: Path, inputs: Iterable[Path] = ()) -> None:
    """Look whether a file can be written to `path`, before the work for it is done. Nothing is left there.

    Args:
        path: that the user named; the folders above it may have to be made yet.
        inputs: files that the work needs, which must not be written over.

    Raises:
        ConfigError: it cannot, or it is one of `inputs`.
    """
    if exists(path) and not is_file(path):
        what = "it is a folder" if is_folder(path) else "it is no plain file"
        raise ConfigError(f"{path} cannot be written ({what}). Choose another place or name.")
    if any(_same(path, read) for read in inputs):
        raise ConfigError(f"{path} is read here, and would be written over. Choose another place or name.")
    try:
        above = next(folder for folder in path.absolute().parents if exists(folder))
        for part in (path, *(above / name for name in path.absolute().relative_to(above).parts)):
            with contextlib.suppress(FileNotFoundError):
                part.lstat()  # a name too long, a file where a folder should be
        with tempfile.TemporaryFile(dir=above):
            pass
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror}). Choose another place or name.") from error


def require_apart(one: Path, other: Path) -> None:
    """Raise ConfigError if two files that are to be written are one."""
    if one.absolute() == other.absolute():
        raise ConfigError(f"{one} is to be two different files. Choose another name for one of them.")


def require_figure_place(path: Path) -> None:
    """Do as `require_place`, for what `write_figure` is to write.

    Raises:
        ConfigError: it cannot be written, or matplotlib knows no such format.
    """
    known = Figure().canvas.get_supported_filetypes()
    if path.suffix and path.suffix[1:].lower() not in known:
        endings = ", ".join(sorted(known))
        raise ConfigError(f"{path} cannot be written (an image ends in {endings}). Choose another place or name.")
    require_place(path)


def is_drawn(png: Path) -> bool:
    """Return whether a PNG file is an image that this program has written for people to look at."""
    try:
        with png.open("rb") as file:
            return DRAWN.encode() in file.read(_PNG_HEAD)
    except OSError:
        return False


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except (OSError, ValueError):
        return False  # one of them is not there


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Do as `put_whole`, for a file that the user named.

    Raises:
        ConfigError: it cannot be written there.
    """
    try:
        put_whole(path, write)
    except (OSError, ValueError) as error:  # ValueError: matplotlib knows no such format
        reason = getattr(error, "strerror", None) or str(error).partition("(")[0].strip()
        raise ConfigError(f"{path} cannot be written ({reason}). Choose another place or name.") from error


def put_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make the file beside its place, and put it there when it is complete.

    Raises:
        OSError: it cannot be written there; nothing is left of it.
    """
    new = path.with_name(f".new-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(new)
        new.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):  # where nothing can be written, nothing may be removable
            new.unlink(missing_ok=True)
        raise


def write_figure(path: Path, figure: Figure) -> None:
    """Write a picture in the format that the name ends in, PNG without an ending. Errors: see `write_whole`."""
    form = path.suffix[1:].lower() or "png"
    metadata = DRAWN_PNG if form == "png" else None
    write_whole(path, lambda new: figure.savefig(new, dpi=110, format=form, metadata=metadata))
