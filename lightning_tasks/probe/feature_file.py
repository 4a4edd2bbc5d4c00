"""Arrays of features in memory-mapped files, which all runs share and which together take no more than a limit.

A file appears under its name when it is complete. The name follows from all that the features depend on: whatever
changes makes another file. What was used longest ago is removed first.
"""

import contextlib
import hashlib
import io
import math
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from platformdirs import user_cache_path

from lightning_tasks.atomic_write import put_whole
from lightning_tasks.errors import ConfigError, TrainingError

Array = NDArray[np.float16]
Batches = Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]  # ascending rows (B,), and theirs (B, ...)

_FORMAT = "lightning_tasks features 1"
_SUFFIX = ".npy"
_GB = 1e9


class Shelf(NamedTuple):
    """Where features are kept."""

    folder: Path | None = None  # None: the user's cache folder
    limit_gb: float = 4.0  # of all files in it; what does not fit is not kept

    @property
    def path(self) -> Path:
        """The folder, which may not be there yet."""
        return (user_cache_path("lightning_tasks") if self.folder is None else self.folder) / "features"

    @property
    def limit_bytes(self) -> int:
        """The limit in bytes."""
        return round(self.limit_gb * _GB)


class Kept(NamedTuple):
    """Features of a data set."""

    array: Array  # (N, ...), NaN in the rows that there is nothing of
    was_there: bool  # nothing had to be computed


def digest(parts: Sequence[str]) -> str:
    """Return what stands for all the parts, and the format, in a file's name."""
    text = "\0".join(f"{len(part)} {part}" for part in (_FORMAT, *parts))  # so that no two lists read alike
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:24]


def keep_features(name: str, parts: Sequence[str], n: int, compute: Callable[[], Batches], shelf: Shelf) -> Kept:
    """Return the features of `n` rows from their file; compute them, and write it, if there is none.

    Of several processes that ask for the same at the same time one computes, and the others wait.

    Args:
        name: of the data set and its part, for a person who looks at the folder.
        parts: all that the features depend on.
        n: how many rows there are; of those that `compute` leaves out NaN is kept.
        compute: yields some rows after the other, with their features.
        shelf: where.

    Raises:
        ConfigError: the folder cannot be used.
        TrainingError: the features exceed what float16 holds.
    """
    if shelf.limit_gb < 0:
        raise ConfigError(f"The limit of kept features is {shelf.limit_gb} GB; it must not be negative. 0 keeps none.")
    if not shelf.limit_gb:
        return Kept(_in_memory(n, compute()), was_there=False)
    path = shelf.path / f"{name}-{digest(parts)}{_SUFFIX}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if (array := _open(path)) is not None:
                return Kept(array, was_there=True)
            return Kept(_build(path, n, compute(), shelf), was_there=False)
    except OSError as error:
        raise ConfigError(
            f"Features cannot be kept in {path.parent} ({error.strerror}). Set data.cache_dir, or keep none: keep_gb 0."
        ) from error


def _open(path: Path) -> Array | None:
    """Return what a file holds, and note that it was used; None: there is none, or it was damaged."""
    try:
        array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (FileNotFoundError, ValueError, EOFError):
        return None
    with contextlib.suppress(OSError):  # of another user
        os.utime(path)
    return array


def _build(path: Path, n: int, batches: Batches, shelf: Shelf) -> Array:
    first = next(batches, None)
    if first is None:
        return np.empty((n, 0), dtype=np.float16)
    shape = (n, *first[1].shape[1:])
    batches = chain([first], batches)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f2", "fortran_order": False, "shape": shape})
    size = len(header.getvalue()) + math.prod(shape) * np.dtype(np.float16).itemsize
    if size > min(shelf.limit_bytes, shutil.disk_usage(path.parent).free):
        return _in_memory(n, batches)
    _make_room(path.parent, shelf.limit_bytes - size)

    def write(new: Path) -> None:
        with new.open("wb") as file:
            file.write(header.getvalue())
            _write_rows(file, shape, batches)

    put_whole(path, write)
    array = _open(path)
    assert array is not None
    return array


def _write_rows(file: BinaryIO, shape: tuple[int, ...], batches: Batches) -> None:
    """Write one row after the other: a full disk is an error, where a mapped file would end the process."""
    done = 0
    for rows, values in batches:
        filled = np.full((int(rows[-1]) + 1 - done, *shape[1:]), np.nan, dtype=np.float16)
        filled[rows - done] = in_half(values)
        file.write(filled.data)
        done += len(filled)
    file.write(np.full((shape[0] - done, *shape[1:]), np.nan, dtype=np.float16).data)


def _in_memory(n: int, batches: Batches) -> Array:
    array = np.empty((n, 0), dtype=np.float16)
    for number, (rows, values) in enumerate(batches):
        if not number:
            array = np.full((n, *values.shape[1:]), np.nan, dtype=np.float16)
        array[rows] = in_half(values)
    return array


def in_half(values: NDArray[np.float32]) -> Array:
    """Return values of any shape in half precision; raise TrainingError where one is too large, or is no number."""
    with np.errstate(over="ignore"):
        halves = values.astype(np.float16)
    if not np.isfinite(halves).all():
        raise TrainingError(
            "The backbone's features are not finite in float16, in which they are kept: "
            f"the largest is {np.abs(values).max():g}. Train with `fit`, without a probe."
        )
    return halves


def _make_room(folder: Path, room: int) -> None:
    """Remove the files that were used longest ago until all take no more than `room` bytes."""
    files = []
    for path in folder.glob(f"*{_SUFFIX}"):
        with contextlib.suppress(FileNotFoundError):  # another process is making room too
            state = path.stat()
            files.append((state.st_mtime_ns, state.st_size, path))
    total = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if total <= room:
            return
        for gone in (path, path.with_suffix(".lock")):
            gone.unlink(missing_ok=True)  # whoever has it mapped keeps it
        total -= size
