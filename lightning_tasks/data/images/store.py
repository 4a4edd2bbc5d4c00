"""The images of a data set: files, decoded one by one or looked up in a cache."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lightning_tasks.data.images.cache import DecodedCache
from lightning_tasks.data.images.decode import DecodedImage, Size, read_reduced
from lightning_tasks.errors import ImageError


class ImageStore:
    """N decoded images.

    Args:
        paths: N files.
        side: their shorter side is reduced to this; 0: they stay whole.
        white_level: which value is white in images of more than 8 bits; see `in_8_bits`.
        cache: where the images are looked up; None: they are decoded.
        slots: (N,), where in the cache each is.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        side: int = 0,
        white_level: int | None = None,
        cache: DecodedCache | None = None,
        slots: NDArray[np.integer] | None = None,
    ) -> None:
        self.paths = paths
        self.side = side
        self.white_level = white_level
        self.cache = cache
        self._slots = np.asarray([] if slots is None else slots, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.paths)

    def look_up(self, row: int) -> tuple[int, Size, Size]:
        """Return an image's slot in the cache, its size there, and that of its file.

        Raises:
            ImageError: the image could not be read when the cache was built.
        """
        assert self.cache is not None
        slot = int(self._slots[row])
        size, original = self.cache.sizes(slot)
        if not size[0]:
            raise ImageError(f"{self.paths[row]}: could not be read when the cache of images was built.")
        return slot, size, original

    def __getitem__(self, row: int) -> DecodedImage:
        """Return an image.

        Raises:
            ImageError: it cannot be read.
        """
        if self.cache is not None:
            return self.cache[self.look_up(row)[0]]
        return read_reduced(self.paths[row], self.side, white_level=self.white_level)
