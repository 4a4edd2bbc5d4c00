"""Whatever a caller has as (H, W, 3) uint8 RGB."""

import os
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageFile

from lightning_tasks.data.images.decode import MAX_PIXELS, decode_image, read_image, tell_of_frames
from lightning_tasks.data.images.depth import Values, bits_lost, in_8_bits, unknown_values
from lightning_tasks.data.images.pillow import Image, has_more_frames, is_whole, undecodable, values_of
from lightning_tasks.data.images.stored_bits import SIXTEEN_BITS, keeps_upper_bits
from lightning_tasks.errors import ImageError

Bytes = bytes | bytearray | memoryview  # a file's content
Source = str | os.PathLike[str] | Bytes | IO[bytes] | NDArray[Any] | Pillow.Image  # what an image may be given as

_PIL, _ARRAY, _BYTES = "The PIL image", "The array", "The bytes"
_EXAMPLE = "of shape (H, W), or (H, W, 1), 3 or 4"


def rgb(source: Source, max_pixels: int = MAX_PIXELS, white_level: int | None = None) -> Image:
    """Return the image as (H, W, 3) uint8 RGB.

    Args:
        source: a path; a file's bytes, or a file that is open in binary mode; an array (H, W), (H, W, 1), (H, W, 3) in
            RGB or (H, W, 4) in RGBA, uint8 from 0 to 255, or uint16; or a PIL image. Files and PIL images are turned as
            their EXIF orientation says, and the first of several pages or frames is taken. Transparency is dropped, as
            it is when images are read for training.
        max_pixels: of a file.
        white_level: which value is white in files, arrays and PIL images of more than 8 bits, of whole or floating
            point numbers; None: 65,535 of 16 bits, and others are refused.

    Raises:
        ImageError: it is none of these, cannot be read, or nothing says which of its values is white.
    """
    if isinstance(source, (str, os.PathLike)):
        return read_image(Path(source), max_pixels, white_level)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return decode_image(bytes(source), _BYTES, 0, max_pixels, white_level).image
    if isinstance(source, Pillow.Image):
        return _from_pillow(source, max_pixels, white_level)
    if isinstance(source, np.ndarray):
        return _from_array(np.asarray(source), white_level)  # a matrix has two axes for ever
    if hasattr(source, "read"):
        return decode_image(_content(source), _BYTES, 0, max_pixels, white_level).image
    raise ImageError(
        f"An image is a path, a file's bytes, an array or a PIL image, not {type(source).__name__}. Of other arrays "
        f"make one of numpy's, uint8 {_EXAMPLE}."
    )


def _content(file: IO[bytes]) -> bytes:
    """Return all bytes of an open file, wherever it stands: who has just written to it stands at its end."""
    try:
        if file.seekable():
            file.seek(0)
        content = file.read()
    except (OSError, ValueError) as error:
        raise ImageError(f"The open file cannot be read ({error}). Open it anew, in binary mode.") from error
    if not isinstance(content, bytes):
        raise ImageError("The open file gives text. Open it in binary mode: open(path, 'rb').")
    return content


def _from_pillow(image: Pillow.Image, max_pixels: int, white_level: int | None) -> Image:
    content = _file_of(image)
    if content is not None and isinstance(image, ImageFile.ImageFile):
        if not is_whole(content):
            raise undecodable(_PIL)
        if image.tell() == 0 and (image.mode in SIXTEEN_BITS or keeps_upper_bits(image, content)):
            return decode_image(content, _PIL, 0, max_pixels, white_level).image  # Pillow keeps fewer bits
    more = has_more_frames(image)
    pixels = in_8_bits(values_of(image, _PIL), white_level, _PIL)
    unread = content is None and image.format == "PNG" and image.mode not in SIXTEEN_BITS
    # Nothing lies above the upper 8 of 16 bits that white has: Pillow cut the rest.
    if unread and white_level is not None and 0 < pixels.max() <= white_level >> 8 < 255:
        raise bits_lost(_PIL)
    if more:
        tell_of_frames(_PIL)
    return pixels


def _file_of(image: Pillow.Image) -> bytes | None:
    """Return the file of an image, where its pixels are not read yet; else nothing is known of it."""
    file = image.fp if isinstance(image, ImageFile.ImageFile) and image.tile else None
    if file is None or file.closed or not file.seekable():
        return None
    at = file.tell()
    file.seek(0)
    content = file.read()
    file.seek(at)
    return content


def _from_array(array: NDArray[Any], white_level: int | None) -> Image:
    shape = array.shape
    wide = array.dtype.kind in "iuf" and white_level is not None  # numbers of any kind, as files have them
    if not wide and not (array.dtype.kind == "u" and array.dtype.itemsize <= 2):
        raise ImageError(f"{_ARRAY} of an image is uint8 or uint16: {unknown_values(str(array.dtype))}")
    if array.ndim == 2:
        array = array[:, :, None]
    if array.size == 0 or array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        raise ImageError(f"{_ARRAY} of an image is {_EXAMPLE}, and not empty; this one's shape is {shape}.")
    colours = array[:, :, :3] if array.shape[2] > 1 else array[:, :, 0]
    return in_8_bits(Values(colours), white_level, _ARRAY)
