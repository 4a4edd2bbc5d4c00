"""From uploaded bytes to pixels: the same ones as of a file, once the header has shown that they are not too many."""

import io

import numpy as np
from fastapi import HTTPException
from PIL import Image as Pillow

from lightning_tasks.data.images import Image, decode_picture
from lightning_tasks.deploy.server.limits import MAX_SIDE_PX, Limits
from lightning_tasks.errors import ImageError

# Whose headers Pillow and OpenCV read alike: of a TIFF or a JPEG 2000 one may see ten pixels where the other sees a
# thousand million. These are also what browsers show.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
_NAMES = "a JPEG, PNG, WebP, GIF or BMP picture"


def decoded(data: bytes, limits: Limits) -> Image:
    """Return the picture as (H, W, 3) uint8 RGB, turned as its EXIF orientation says.

    Raises:
        HTTPException: 413, it has too many pixels; 422, it is no picture, or cut short.
    """
    _check_size(data, limits)
    try:
        return decode_picture(np.frombuffer(data, dtype=np.uint8), "the picture", side=0).image
    except ImageError as error:
        message = "The picture cannot be decoded: it is cut short or damaged. Send the whole file."
        raise HTTPException(422, message) from error


def _check_size(data: bytes, limits: Limits) -> None:
    try:
        with Pillow.open(io.BytesIO(data), formats=FORMATS) as header:
            width, height = header.size
    except Pillow.DecompressionBombError as error:
        raise HTTPException(413, f"{_too_many(limits)}.") from error
    except (OSError, ValueError, SyntaxError, OverflowError, MemoryError) as error:
        raise HTTPException(422, f"This is not {_NAMES}, or it is cut short. Send a whole one of these.") from error
    if width * height > limits.max_pixels or max(width, height) > MAX_SIDE_PX:
        raise HTTPException(413, f"{_too_many(limits)}; this one has {width:,}×{height:,}. Send a smaller one.")


def _too_many(limits: Limits) -> str:
    return f"A picture may have {limits.max_pixels / 1e6:g} megapixels at most, and {MAX_SIDE_PX:,} on a side"
