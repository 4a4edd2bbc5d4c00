"""Text files of annotations: their lines, and the numbers in these."""

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from lightning_tasks.data.tables.cells import as_number
from lightning_tasks.data.tables.csv_table import encoding_of
from lightning_tasks.errors import ConfigError, TableError


@contextlib.contextmanager
def open_text(path: Path, encoding: str | None = None, newline: str | None = None) -> Iterator[TextIO]:
    """Open a text file; what goes wrong while it is read is told, too.

    Args:
        path: the file.
        encoding: of a file that is neither in UTF-8 nor begins with a mark that says what it is.
        newline: as of Python's `open`.

    Raises:
        TableError: it cannot be read, or is not in this encoding.
        ConfigError: there is no such encoding.
    """
    try:
        with path.open(encoding=encoding or encoding_of(path), newline=newline) as file:
            yield file
    except LookupError as error:
        raise ConfigError(f"--encoding {encoding}: there is no such encoding. Try utf-8, latin-1 or cp1252.") from error
    except UnicodeError as error:
        way_out = "Say what it is, such as --encoding latin-1." if encoding is None else "Name another --encoding."
        raise TableError(f"{path}: not text in {encoding or 'UTF-8'} ({error}). {way_out}") from error
    except OSError as error:
        raise TableError(f"{path}: cannot be read ({error.strerror}).") from error


def read_lines(path: Path, encoding: str | None = None) -> list[tuple[int, str]]:
    """Return a text file's lines that say something, without blanks around, and what a person calls each.

    Raises as `open_text` does.
    """
    with open_text(path, encoding) as file:
        return [(number, text) for number, line in enumerate(file, 1) if (text := line.strip())]


def utf8_lines(path: Path, way_out: str) -> list[str]:
    """Return all lines of a file that a tool always writes in UTF-8.

    Raises:
        TableError: it cannot be read; says `way_out`.
    """
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise TableError(f"{path}: cannot be read as text ({error}). {way_out}") from error


def finite_number(text: str) -> float | None:
    """Return the finite number that a text is; None: it is none."""
    number = as_number(text, decimal_comma=False)
    return number if number is not None and math.isfinite(number) else None


def finite(path: Path, line: int, cell: str) -> float:
    """Return the finite number that a word of a line is; TableError: it is none."""
    number = finite_number(cell)
    if number is None:
        raise TableError(f"{path}: line {line}: {cell!r} is not a number. Write one.")
    return number
