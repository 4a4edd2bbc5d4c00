"""From a file to pixels."""

import contextlib
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageOps

from lightning_tasks.data.opencv import cv2
from lightning_tasks.errors import ImageError

Image = NDArray[np.uint8]  # (H, W, 3) RGB
Size = tuple[int, int]  # height, width

_JPEG = b"\xff\xd8"
_REDUCED = {8: cv2.IMREAD_REDUCED_GRAYSCALE_8, 4: cv2.IMREAD_REDUCED_GRAYSCALE_4, 2: cv2.IMREAD_REDUCED_GRAYSCALE_2}
_SCAN, _END = b"\xff\xda", b"\xff\xd9"  # of a JPEG
_BOMB = Pillow.DecompressionBombError  # more than 179 megapixels: Pillow's own limit
_UNREADABLE = (OSError, ValueError, SyntaxError, _BOMB)  # what Pillow raises for bad headers


class Picture(NamedTuple):
    """A decoded picture, which may have been reduced."""

    image: Image  # (H, W, 3) RGB
    original_size: Size  # of the file, turned as its EXIF orientation says


def read_image(path: Path) -> Image:
    """Return the whole picture as (H, W, 3) uint8 RGB, turned as its EXIF orientation says.

    Raises:
        ImageError: the file is missing, empty or no picture that OpenCV reads.
    """
    return read_picture(path, 0).image


def read_picture(path: Path, side: int) -> Picture:
    """Return the picture with its shorter side reduced to `side`; never enlarged, and whole where `side` is 0.

    A JPEG is decoded at a half, a quarter or an eighth where that leaves enough; then `resize` does the rest.

    Raises:
        ImageError: the file is missing, empty or no picture that OpenCV reads.
    """
    try:
        data = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror}). Restore the file or take its row out.") from error
    return decode_picture(data, str(path), side)


def decode_picture(data: NDArray[np.uint8], name: str, side: int) -> Picture:
    """Return what `read_picture` does, from a file's bytes; `name` stands in messages."""
    size = _header_size(data, name)
    is_jpeg = bytes(data[:2]) == _JPEG
    factor = _reduction(size, side) if is_jpeg else 1  # OpenCV decodes other formats whole, and then skips pixels
    image = None
    if data.size and not (is_jpeg and _is_cut(data)):
        with contextlib.suppress(cv2.error):  # a header that says a thousand million rows
            # The reduced flags are those of grey pictures: the ones of colour ask for BGR.
            image = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB | _REDUCED.get(factor, 0))
        if image is None and not is_jpeg:
            image = _by_pillow(data)
    if image is None:
        what = "is empty" if not data.size else "is not a picture that can be decoded (cut short, or another format)"
        raise ImageError(f"{name}: {what}. Replace the file or take its row out of the table.")
    decoded = np.asarray(image, dtype=np.uint8)
    original = (decoded.shape[0], decoded.shape[1])
    if factor > 1 and size is not None:
        original = size if (size[0] < size[1]) == (original[0] < original[1]) else size[::-1]
    target = reduced_size(original, side)
    return Picture(_resize(decoded, (original[0] / factor, original[1] / factor), target), original)


def file_size_px(path: Path) -> Size | None:
    """Return a picture's height and width from its header, before any EXIF turn; None where there is none to read."""
    try:
        with Pillow.open(path) as header:
            return header.height, header.width
    except _UNREADABLE:
        return None


def reduced_size(size: Size, side: int) -> Size:
    """Return the size with the shorter side reduced to `side`; as it is where it is no longer, or `side` is 0."""
    shorter = min(size)
    if not side or shorter <= side:
        return size
    height, width = (max(side, round(length * side / shorter)) for length in size)
    return height, width


def resize(image: Image, size: Size) -> Image:
    """Return the picture at `size`, by area where it shrinks more than twice, as bilinear sampling would skip pixels.

    What shrinks less is sampled bilinearly: five times faster, and exact where it halves.
    """
    return _resize(image, (image.shape[0], image.shape[1]), size)


def _resize(image: Image, extent: tuple[float, float], size: Size) -> Image:
    """Resize the upper left `extent` (height, width) of a picture: a reduced JPEG's last row may be a part of one."""
    if extent == size:
        return image
    shrinks_much = min(extent[0] / size[0], extent[1] / size[1]) > 2
    interpolation = cv2.INTER_AREA if shrinks_much else cv2.INTER_LINEAR
    if extent == image.shape[:2]:
        return np.asarray(cv2.resize(image, (size[1], size[0]), interpolation=interpolation), dtype=np.uint8)
    scale_y, scale_x = size[0] / extent[0], size[1] / extent[1]
    resized = cv2.resize(image, None, fx=scale_x, fy=scale_y, interpolation=interpolation)
    return np.asarray(resized[: size[0], : size[1]], dtype=np.uint8)


def _header_size(data: NDArray[np.uint8], name: str) -> Size | None:
    try:
        with Pillow.open(io.BytesIO(data.tobytes())) as header:
            return header.height, header.width
    except _BOMB as error:
        raise ImageError(f"{name}: has too many pixels ({error}). Replace the file by a smaller one.") from error
    except _UNREADABLE:
        return None


def _by_pillow(data: NDArray[np.uint8]) -> Image | None:
    """Decode what OpenCV does not know; None: Pillow cannot either."""
    try:
        with Pillow.open(io.BytesIO(data.tobytes())) as opened:
            return np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
    except _UNREADABLE:
        return None


def _is_cut(jpeg: NDArray[np.uint8]) -> bool:
    """Return whether a JPEG ends within its pixels, which OpenCV 4 takes for grey ones."""
    content = jpeg.tobytes()
    return not content.endswith(_END) and content.rfind(_END) < content.rfind(_SCAN)


def _reduction(size: Size | None, side: int) -> int:
    if size is None or not side:
        return 1
    return next((factor for factor in _REDUCED if min(size) >= factor * side), 1)
