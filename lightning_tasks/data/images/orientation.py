"""Which way is up: the one place that reads an image's EXIF orientation."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags
from PIL import Image as Pillow

T = TypeVar("T", bound=np.generic)

_TURNED_BY_90 = frozenset((5, 6, 7, 8))


def orientation(image: Pillow.Image, *, may_read_pixels: bool = True) -> int:
    """Return how what was decoded of a file is still to be turned: 1 to 8 as EXIF has them, where 1 is upright.

    EXIF, XMP and AVIF say it. Neither Pillow nor OpenCV is asked to turn anything, but a TIFF is turned by both: by
    Pillow its size when it is opened and its pixels when they are read, by OpenCV its pixels.

    Args:
        image: of which pixels were read, or not yet.
        may_read_pixels: a PNG may say it behind its pixels, and Pillow then reads these.
    """
    if image.format == "TIFF":
        return 1
    try:
        exif = image.getexif() if may_read_pixels else Pillow.Image.getexif(image)
        found = exif.get(ExifTags.Base.Orientation, 1)
    except Exception:  # of damaged metadata, Pillow raises what it likes; the pixels are another matter
        return 1
    return found if found in range(1, 9) else 1


def upright(image: NDArray[T], orientation: int) -> NDArray[T]:
    """Return the pixels (H, W, ...) turned as an orientation asks; (W, H, ...) from 5 on."""
    if orientation in _TURNED_BY_90:
        image = image.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)


def upright_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Return height and width of what `upright` returns."""
    return size[::-1] if orientation in _TURNED_BY_90 else size
