"""A data set's decoded images in one memory-mapped file, which all workers and processes of a machine share.

The file holds the pixels of one image after the other, then an index, then where the index begins. It appears under
its name when it is complete. Its name follows from its source files' names, sizes and times, from how they are
reduced and from which value is white, so a changed file makes another cache; the one before is removed.
"""

import hashlib
import os
import shutil
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from platformdirs import user_cache_path
from tqdm import tqdm

from lightning_tasks.atomic_write import put_whole, remove_leftovers
from lightning_tasks.cores import usable_cores
from lightning_tasks.data.images.decode import DecodedImage, Size, file_size_px, read_reduced, reduced_size
from lightning_tasks.errors import ConfigError, ImageError

CacheKind = Literal["auto", "none", "ram", "disk"]

_FORMAT = "lightning_tasks decoded images 3"
_MEMORY = Path("/dev/shm")  # Linux's file system in memory
_AT_ONCE = 256  # images decoded before they are written
_INDEX = np.dtype([("offset", "<i8"), ("size", "<i4", (2,)), ("original_size", "<i4", (2,))])
_TRAILER = np.dtype([("index_at", "<i8"), ("images", "<i8")])
_GB = 1e9
_MORE_ROOM = {"ram": "give the container more of it (docker --shm-size)", "disk": "set data.cache_dir"}


class CacheSettings(NamedTuple):
    """What the user asked for."""

    kind: CacheKind  # `auto` is `disk` where it fits, else none
    folder: str | None  # of `disk`; None: the user's cache folder
    limit_gb: float


class DecodedCache:
    """Decoded images, mapped from a complete file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._map()

    def _map(self) -> None:
        self._descriptor = os.open(self.path, os.O_RDONLY | getattr(os, "O_BINARY", 0))  # the second: of Windows
        weakref.finalize(self, os.close, self._descriptor)
        with open(self._descriptor, "rb", closefd=False) as file:
            content: NDArray[np.uint8] = np.asarray(np.memmap(file, dtype=np.uint8, mode="r"))
        trailer = np.array(content[-_TRAILER.itemsize :]).view(_TRAILER)[0]
        begin = int(trailer["index_at"])
        end = begin + int(trailer["images"]) * _INDEX.itemsize
        self.index = np.array(content[begin:end]).view(_INDEX)
        self.pixels = content[:begin]  # (bytes of all images,)

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, slot: int) -> DecodedImage:
        (height, width), original = self.sizes(slot)
        begin = int(self.index["offset"][slot])
        # A copy: transforms may write. It also brings the image into the CPU cache, where it is warped twice as fast.
        image = np.array(self.pixels[begin : begin + height * width * 3]).reshape(height, width, 3)
        return DecodedImage(image, original)

    def sizes(self, slot: int) -> tuple[Size, Size]:
        """Return an image's size here, and that of its file."""
        (height, width), (original_height, original_width) = self.index["size"][slot], self.index["original_size"][slot]
        return (int(height), int(width)), (int(original_height), int(original_width))

    def remove_name(self) -> None:
        """Remove the file's name, on Linux: it goes when the last process goes that has it open, however that ends.

        Workers that are not forked find it among the open files of this process.
        """
        self.path.unlink(missing_ok=True)
        self.path = self._open_file()

    def _open_file(self) -> Path:
        return Path(f"/proc/{os.getpid()}/fd/{self._descriptor}")

    def __getstate__(self) -> dict[str, Any]:  # for workers that are not forked: the file, not its gigabytes
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.path = state["path"]
        self._map()
        if self.path.parent.name == "fd":  # the copy outlives the open file that it was made from
            self.path = self._open_file()


@dataclass(eq=False)
class ImageStore:
    """N images: files, decoded one by one or looked up in a cache."""

    paths: Sequence[Path]
    side: int = 0  # their shorter side is reduced to this; 0: they stay whole
    white_level: int | None = None  # see `in_8_bits`
    cache: DecodedCache | None = None
    slots: Sequence[int] | NDArray[np.integer] = ()  # (N,), where in the cache each is

    def __len__(self) -> int:
        return len(self.paths)

    def look_up(self, row: int) -> tuple[int, Size, Size]:
        """Return an image's slot in the cache, its size there and that of its file; raise ImageError if it has none."""
        assert self.cache is not None
        slot = int(self.slots[row])
        size, original = self.cache.sizes(slot)
        if not size[0]:
            raise ImageError(f"{self.paths[row]}: could not be read when the cache of images was built.")
        return slot, size, original

    def __getitem__(self, row: int) -> DecodedImage:
        if self.cache is not None:
            return self.cache[self.look_up(row)[0]]
        return read_reduced(self.paths[row], self.side, white_level=self.white_level)


class Opened(NamedTuple):
    """A cache, or why there is none."""

    cache: DecodedCache | None
    note: str  # for a person


def open_cache(
    name: str,
    paths: Sequence[Path],
    side: int,
    settings: CacheSettings,
    *,
    progress: bool,
    skip_bad: bool = False,
    white_level: int | None = None,
) -> Opened:
    """Return the cache of `paths`; build it first if it is not there, unless it is not wanted or does not fit.

    Of several processes that ask at the same time one builds, and the others wait. The data set's `name` is in the
    file's; its caches before this one are removed. With `skip_bad` an image that cannot be read takes an empty place.
    For `side` and `white_level` see `read_reduced`.

    Raises:
        ConfigError: it was asked for and does not fit, or cannot be written.
        ImageError: an image cannot be read.
    """
    if settings.kind == "none" or not len(paths):
        return Opened(None, "no cache")
    folder = _folder(settings)
    identity = _digest(str(paths[0].parent), str(side), name)
    try:
        target = folder / f"{name}-{identity}-{_digest(_FORMAT, str(white_level), *map(_state, paths))}.pixels"
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{name}-{identity}.lock"):
            if not target.is_file():
                remove_leftovers(folder)  # of builds that were killed: they take room
                refusal = _refusal(paths, side, folder, settings)
                if refusal and settings.kind == "auto":
                    return Opened(None, f"no cache ({refusal})")
                if refusal:
                    raise ConfigError(
                        f"data.cache is {settings.kind}: {refusal}. Raise the limit, {_MORE_ROOM[settings.kind]}, "
                        "lower data.decode_side, or leave the choice to data.cache auto."
                    )
                for stale in folder.glob(f"{name}-{identity}-*.pixels"):
                    stale.unlink()  # whoever has it mapped keeps it
                read = partial(read_reduced, side=side, white_level=white_level)
                put_whole(target, lambda new: _build(new, paths, read, progress, skip_bad))
            cache = DecodedCache(target)
            bad = np.flatnonzero(cache.index["size"][:, 0] == 0)
    except OSError as error:
        if settings.kind == "auto":
            return Opened(None, f"no cache ({folder}: {error.strerror})")
        raise ConfigError(f"The cache in {folder} cannot be used ({error.strerror}). Set data.cache_dir.") from error
    if len(bad) and not skip_bad:  # of a run that skipped it
        read_reduced(paths[int(bad[0])], side, white_level=white_level)
    return Opened(cache, f"cache in {'memory' if settings.kind == 'ram' else folder}, {_gb(len(cache.pixels))}")


def _build(
    target: Path, paths: Sequence[Path], read: Callable[[Path], DecodedImage], progress: bool, skip_bad: bool
) -> None:
    """Decode all images on all cores, and write them in order."""
    index = np.zeros(len(paths), dtype=_INDEX)
    offset = 0
    hidden = None if progress else True  # None: where there is no terminal
    bar = tqdm(total=len(paths), desc="decoding the images once", unit="", leave=False, disable=hidden)
    with bar, target.open("wb") as file, ThreadPoolExecutor(usable_cores()) as pool:
        for slot, image in enumerate(_decode(pool, paths, read, skip_bad)):
            index[slot] = (offset, image.image.shape[:2], image.original_size)
            file.write(np.ascontiguousarray(image.image).data)
            offset += image.image.size
            bar.update()
        file.write(index.tobytes())
        file.write(np.array([(offset, len(paths))], dtype=_TRAILER).tobytes())


def _decode(
    pool: ThreadPoolExecutor, paths: Sequence[Path], read: Callable[[Path], DecodedImage], skip_bad: bool
) -> Iterator[DecodedImage]:
    def try_to_read(path: Path) -> DecodedImage:
        try:
            return read(path)
        except ImageError:
            if not skip_bad:
                raise
            return DecodedImage(np.empty((0, 0, 3), dtype=np.uint8), (0, 0))

    waiting = iter(paths)
    while chunk := list(islice(waiting, _AT_ONCE)):  # `map` would keep all that is decoded ahead in memory
        yield from pool.map(try_to_read, chunk)


def _refusal(paths: Sequence[Path], side: int, folder: Path, settings: CacheSettings) -> str | None:
    needed = 0
    with ThreadPoolExecutor(usable_cores()) as pool:
        for size in pool.map(file_size_px, paths):
            height, width = reduced_size(size, side) if size is not None else (0, 0)
            needed += height * width * 3
    free = shutil.disk_usage(folder).free
    if needed > settings.limit_gb * _GB:
        return f"{_gb(needed)} exceed data.cache_limit_gb {settings.limit_gb:g}"
    if needed > free:
        return f"{_gb(needed)} are needed, and {folder} has {_gb(free)} left"
    return None


def _folder(settings: CacheSettings) -> Path:
    if settings.kind != "ram":
        return user_cache_path("lightning_tasks") if settings.folder is None else Path(settings.folder)
    if not _MEMORY.is_dir():
        raise ConfigError(f"data.cache ram needs {_MEMORY}, which this system does not have. Use data.cache disk.")
    return _MEMORY / f"lightning_tasks-{os.getuid()}"


def _state(path: Path) -> str:
    found = path.stat()
    # A file that is replaced by one of the same size and time has another time of change.
    return f"{path} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _gb(n: int) -> str:
    return f"{n / _GB:.2f} GB"
