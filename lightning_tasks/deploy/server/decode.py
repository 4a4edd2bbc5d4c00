"""From uploaded bytes to pixels: the same ones as of a file, once the header has shown that they are not too many."""

import io

from fastapi import HTTPException
from PIL import Image as Pillow

from lightning_tasks.data.images.decode import decode_image
from lightning_tasks.data.images.pillow import Image, open_header
from lightning_tasks.deploy.server.limits import MAX_SIDE_PX, Limits
from lightning_tasks.errors import ImageError, UnknownValuesError

# What browsers show. A TIFF or a JPEG 2000 may ask for far more memory than its size says.
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP")
_NAMES = "a JPEG, PNG, WebP, AVIF, GIF or BMP image"


def decode_upload(data: bytes, limits: Limits, white_level: int | None = None) -> Image:
    """Return the image as (H, W, 3) uint8 RGB, turned as its EXIF orientation says.

    Args:
        data: a file's bytes.
        limits: how large it may be.
        white_level: which value is white in images of more than 8 bits.

    Raises:
        HTTPException: 413, it has too many pixels; 422, it is no image, or cut short, or nothing says what is white.
    """
    _check_size(data, limits)
    try:
        return decode_image(data, "the image", 0, limits.max_pixels, white_level).image
    except UnknownValuesError as error:
        raise HTTPException(422, str(error)) from error
    except ImageError as error:
        message = "The image cannot be decoded: it is cut short or damaged. Send the whole file."
        raise HTTPException(422, message) from error


def _check_size(data: bytes, limits: Limits) -> None:
    try:
        header = open_header(io.BytesIO(data), FORMATS)
    except Pillow.DecompressionBombError as error:
        raise HTTPException(413, f"{_too_many(limits)}.") from error
    if header is None:
        raise HTTPException(422, f"This is not {_NAMES}, or it is cut short. Send a whole one of these.")
    width, height = header.size
    if width * height > limits.max_pixels or max(width, height) > MAX_SIDE_PX:
        raise HTTPException(413, f"{_too_many(limits)}; this one has {width:,}×{height:,}. Send a smaller one.")


def _too_many(limits: Limits) -> str:
    return f"An image may have {limits.max_pixels / 1e6:g} megapixels at most, and {MAX_SIDE_PX:,} on a side"
