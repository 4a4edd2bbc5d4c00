"""What there is at a place that a user named. No question here raises an error, whatever the name; `expanded` may.

`Path.is_file` and its like raise for a name that is too long, and for a folder that may not be entered.
"""

import errno
import os
import re
from pathlib import Path

from lightning_tasks.errors import ConfigError

_POINTERS = {  # how a file begins that stands for another one; what brings that
    b"version https://git-lfs.github.com/spec/": "a pointer of Git LFS, not the file itself: `git lfs pull` fetches it",
    b"/annex/objects/": "a pointer of git-annex, not the file itself: `git annex get` fetches it",
}
_HEAD = 64
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))", re.ASCII)


# Whether there is such a thing that this process can see.
is_file, is_folder, exists = os.path.isfile, os.path.isdir, os.path.exists


def why_missing(path: Path) -> str:
    """Return, in brackets and after a space, why there is no file to be seen; nothing where simply none is there."""
    try:
        path.stat()
    except OSError as error:
        return "" if error.errno in (errno.ENOENT, errno.ENOTDIR) else f" ({error.strerror})"
    except ValueError as error:  # a zero byte
        return f" ({error})"
    return " (it is a folder)" if is_folder(path) else ""


def why_no_content(head: bytes) -> str | None:
    """Return what a file is instead of what its name promises: empty, or a pointer; None: it is neither."""
    if not head:
        return "an empty file"
    return next((what for begin, what in _POINTERS.items() if head.startswith(begin)), None)


def why_file_has_no_content(path: Path) -> str | None:
    """Return what `why_no_content` does of a file; None, too, where it cannot be read."""
    try:
        with path.open("rb") as file:
            return why_no_content(file.read(_HEAD))
    except OSError:
        return None


def as_text(name: Path | str) -> str:
    r"""Return a name as text for a table: what is not UTF-8 in it as \udcXX, so that two names stay two."""
    return str(name).encode("utf-8", "backslashreplace").decode("utf-8")


def expand_path(name: str | Path, folder: Path = Path()) -> str:
    """Return a path with `~`, `$NAME` and `${NAME}` as in a shell; what has such a name stays. ConfigError: not set."""

    def value(variable: re.Match[str]) -> str:
        called = variable[1] or variable[2]
        if called not in os.environ:
            raise ConfigError(f"{str(name)!r}: there is no variable {called}. Set it (export {called}=...).")
        return os.environ[called]

    done = ""
    for part in str(name).split("/"):
        if not ({"$", "~"} & set(part)) or exists(folder / (done + part)):
            done += f"{part}/"
        else:
            home = part if done else os.path.expanduser(part)  # noqa: PTH111 - it raises nothing
            done += f"{_VARIABLE.sub(value, home)}/"
    return done[:-1]
