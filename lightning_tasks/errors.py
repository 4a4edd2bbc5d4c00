"""The mistakes a user can make, each with one message: what is wrong, where, and what to do.

The command line prints the message alone, without a traceback, and exits with 2.
"""

import re
import struct
import zipfile
from pickle import UnpicklingError

# What torch raises for a damaged file: its unpickler trusts that what it reads belongs together.
TORCH_FILE_ERRORS: tuple[type[Exception], ...] = (
    *(UnpicklingError, RuntimeError, EOFError, ValueError, OSError, struct.error, zipfile.BadZipFile),
    *(AssertionError, AttributeError, LookupError, OverflowError, TypeError, MemoryError),
)

_PIP = re.compile(r"pip install (?:-U |--upgrade )*['\"]?([\w.-]+(?:\[[\w,-]+\])?)")
_OF_A_CLASS = "Problem with given class_path"  # jsonargparse's words for what a class raised


class LightningTasksError(Exception):
    """A mistake that the user can put right. Its text is the whole message."""


class DatasetNotFoundError(LightningTasksError):
    """The data set, or a file that it promises, is not where it was looked for."""


class TableError(LightningTasksError):
    """A table, an annotation, a pose or a calibration file holds something that cannot be used."""


class ImageError(LightningTasksError):
    """An image cannot be read."""


class UnknownValuesError(ImageError):
    """An image can be read, but nothing says which of its values is white."""


class DownloadError(LightningTasksError):
    """An archive could not be fetched, or is not what it should be."""


class BackboneError(LightningTasksError):
    """A backbone or its weights cannot be had or do not fit."""


class CheckpointError(LightningTasksError):
    """A checkpoint cannot be read, or belongs to other data."""


class TrainingError(LightningTasksError):
    """A training cannot continue."""


class ConfigError(LightningTasksError):
    """Settings that contradict each other."""


class MissingLibraryError(LightningTasksError):
    """A library of the operating system is missing."""


class LightningTasksWarning(UserWarning):
    """What a user should know. Its text is the whole message; the command line prints it in one line."""


def user_message(error: LightningTasksError) -> str:
    """Return the message of `error` alone, which was raised in a DataLoader worker perhaps.

    Such an error has the worker's traceback as its text; the message is what follows the exception's name at last.
    """
    text = str(error)
    marker = f"{type(error).__module__}.{type(error).__qualname__}: "
    return text.rpartition(marker)[2].strip() if marker in text else text


def what_is_wrong(error: BaseException) -> str:
    """Return a library's message in one line: its first one, with the next where it only announces that."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]


def missing_package(error: BaseException | None) -> str | None:
    """Return which package `error` misses or was raised for want of, and how to get it; None: it is about none.

    Classes of other libraries say it in many words, with `pip install` among them, when they are made; what they raise
    jsonargparse may keep as text alone.
    """
    while error is not None and not isinstance(error, ImportError) and _OF_A_CLASS not in str(error):
        error = error.__cause__ or error.__context__
    if error is None:
        return None
    told = _PIP.search(str(error))
    package = told[1].rstrip(".") if told else (getattr(error, "name", None) or "").partition(".")[0]
    if not package or package == __package__:
        return None
    why = next((line.strip() for line in str(error).splitlines() if told and told[0] in line), what_is_wrong(error))
    return f"A package that these settings need is not there: pip install {package} ({why})"


def users_mistake(error: BaseException | None) -> LightningTasksError | None:
    """Return the mistake of the user's that `error` is or was raised from, if there is one."""
    while error is not None and not isinstance(error, LightningTasksError):
        error = error.__cause__ or error.__context__
    return error
