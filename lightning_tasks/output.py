"""Writing a file: the whole of it or none."""

import contextlib
from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from lightning_tasks.errors import ConfigError
from lightning_tasks.fonts import letter_figure


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
    letter_figure(figure)
    write_whole(path, lambda new: figure.savefig(new, dpi=110, format=path.suffix[1:] or "png"))
