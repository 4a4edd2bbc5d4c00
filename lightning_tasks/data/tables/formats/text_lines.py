"""The lines of a text file of annotations."""

from pathlib import Path

from lightning_tasks.data.tables.csv_table import encoding_of
from lightning_tasks.errors import ConfigError, TableError


def read_lines(path: Path, encoding: str | None = None) -> list[tuple[int, str]]:
    """Return a text file's lines that say something, without blanks around, and what a person calls each.

    Args:
        path: the file.
        encoding: of a file that is neither in UTF-8 nor begins with a mark that says what it is.

    Raises:
        TableError: it cannot be read, or is not in this encoding.
        ConfigError: there is no such encoding.
    """
    try:
        text = path.read_text(encoding=encoding or encoding_of(path))
    except LookupError as error:
        raise ConfigError(f"--encoding {encoding}: there is no such encoding. Try utf-8, latin-1 or cp1252.") from error
    except UnicodeError as error:
        way_out = "Say what it is, such as --encoding latin-1." if encoding is None else "Name another --encoding."
        raise TableError(f"{path}: not text in {encoding or 'UTF-8'} ({error}). {way_out}") from error
    except OSError as error:
        raise TableError(f"{path}: cannot be read ({error.strerror}).") from error
    return [(number, line.strip()) for number, line in enumerate(text.split("\n"), 1) if line.strip()]


def finite(path: Path, line: int, cell: str) -> float:
    """Return the finite number that a word of a line is; TableError: it is none."""
    try:
        number = float(cell)
    except ValueError:
        number = float("nan")
    if not abs(number) < float("inf"):  # NaN is not
        raise TableError(f"{path}: line {line}: {cell!r} is not a number. Write one.")
    return number
