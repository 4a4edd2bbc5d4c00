"""Whatever a caller has as (H, W, 3) uint8 RGB."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageOps

from lightning_tasks.data.images import Image, read_image
from lightning_tasks.errors import ImageError

Source = str | Path | NDArray[Any] | Pillow.Image  # what a picture may be given as

_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")


def rgb(source: Source) -> Image:
    """Return the picture as (H, W, 3) uint8 RGB.

    Args:
        source: a path; an array (H, W), (H, W, 1), (H, W, 3) in RGB or (H, W, 4) in RGBA, uint8 or uint16; or a PIL
            image. Files and PIL images are turned as their EXIF orientation says. Transparency is dropped, as it is
            when pictures are read for training.

    Raises:
        ImageError: it is none of these, or cannot be read.
    """
    if isinstance(source, (str, Path)):
        return read_image(Path(source))
    if isinstance(source, Pillow.Image):
        return _from_pillow(source)
    if isinstance(source, np.ndarray):
        return _from_array(source)
    raise ImageError(f"A picture is a path, an array or a PIL image, not {type(source).__name__}.")


def _from_pillow(image: Pillow.Image) -> Image:
    try:
        turned = ImageOps.exif_transpose(image)
        if turned.mode in _SIXTEEN_BIT:  # convert("RGB") would cut at 255
            return _from_array(np.asarray(turned).astype(np.uint16))
        return np.asarray(turned.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:  # Pillow reads pixels when they are asked for
        raise ImageError(f"The PIL image cannot be read ({error}).") from error


def _from_array(array: NDArray[Any]) -> Image:
    shape = array.shape
    if array.dtype not in (np.uint8, np.uint16) or array.size == 0:
        raise ImageError(f"A picture's array is uint8 or uint16 and not empty; this is {array.dtype} of shape {shape}.")
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        raise ImageError(f"A picture's array is (H, W), or (H, W, 1), 3 or 4; this one's shape is {shape}.")
    if array.dtype == np.uint16:
        array = array >> 8  # as OpenCV reads 16 bits
    channels = array[:, :, :3] if array.shape[2] > 1 else np.repeat(array, 3, axis=2)
    return np.ascontiguousarray(channels, dtype=np.uint8)
