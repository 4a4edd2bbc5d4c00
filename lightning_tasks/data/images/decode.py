"""From a file to pixels: the same ones for training, predictions, the server, the cache and `check`.

JPEGs are decoded by OpenCV, four times faster than by Pillow and to the same pixels; all else that Pillow knows by
Pillow; and the rest by OpenCV, as are colours of more than 8 bits, of which Pillow keeps 8.
"""

import contextlib
import io
import mmap
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageFile

from lightning_tasks.data.images.depth import Values, brightest, channels_unread, in_8_bits, planes_unread, warn_once
from lightning_tasks.data.images.opencv import cv2
from lightning_tasks.data.images.pillow import (
    ISO_FILE,
    has_more_frames,
    is_heif,
    is_whole,
    needs_heif,
    open_header,
    orientation,
    undecodable,
    upright,
    upright_size,
    values_of,
)
from lightning_tasks.data.images.pillow import Image as Image  # its users need not know where it is from
from lightning_tasks.data.images.stored_bits import (
    PAM_START,
    keeps_upper_bits,
    read_pam,
    tiff_layout,
    unknown_channels,
    white_of,
)
from lightning_tasks.errors import ConfigError, ImageError

Size = tuple[int, int]  # height, width

MAX_PIXELS = 178_956_970  # of one image, where nothing else is said: as Pillow's own limit
_MOST_PIXELS = 2**30  # OpenCV's own limit
_REDUCED = {8: cv2.IMREAD_REDUCED_GRAYSCALE_8, 4: cv2.IMREAD_REDUCED_GRAYSCALE_4, 2: cv2.IMREAD_REDUCED_GRAYSCALE_2}
_AS_STORED = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION  # of JPEGs
_OPENCVS_MODES = ("RGB", "L")  # of JPEGs; CMYK it converts otherwise than Pillow
_COLOURS = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
_GREY = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION  # of some grey TIFFs of 32 and 64 bits it makes no colours
_PNG_START = b"\x89PNG"  # one that Pillow does not know is damaged, and libpng would say so on stderr
_frames_told = mmap.mmap(-1, 1)  # 1 once it was said; forked processes share it


class DecodedImage(NamedTuple):
    """A decoded image, which may have been reduced."""

    image: Image  # (H, W, 3) RGB
    original_size: Size  # of the file, upright


def read_image(path: Path, max_pixels: int = MAX_PIXELS, white_level: int | None = None) -> Image:
    """Return the whole image as (H, W, 3) uint8 RGB, upright; raises as `read_reduced` does."""
    return read_reduced(path, 0, max_pixels, white_level).image


def read_reduced(path: Path, side: int, max_pixels: int = MAX_PIXELS, white_level: int | None = None) -> DecodedImage:
    """Return the image with its shorter side reduced to `side`; never enlarged, and whole where `side` is 0.

    A JPEG is decoded at a half, a quarter or an eighth where that leaves enough; then `resize` does the rest. For
    `white_level` see `in_8_bits`.

    Raises:
        ImageError: the file is missing, empty, cut short, no image, has more than `max_pixels`, or values that may
            mean anything.
    """
    return decode_image(_content(path), str(path), side, max_pixels, white_level)


def decode_image(
    content: bytes, name: str, side: int, max_pixels: int = MAX_PIXELS, white_level: int | None = None
) -> DecodedImage:
    """Return what `read_reduced` does, from a file's bytes; `name` stands in messages."""
    decoded = _decode(content, name, side, max_pixels)
    if isinstance(decoded, DecodedImage):
        return decoded
    image = in_8_bits(decoded, white_level, name)
    size = (image.shape[0], image.shape[1])
    return DecodedImage(resize(image, reduced_size(size, side)), size)


def brightest_of(path: Path) -> int | None:
    """Return the largest value of an image of 16 bits, of which the file does not say which is white; None: no such.

    Of most files the header alone is read.
    """
    try:
        with path.open("rb") as file:
            header = open_header(file)
            if header is not None and _has_8_bits(header):
                return None
        decoded = _decode(_content(path), str(path), 0, MAX_PIXELS)
    except (ImageError, OSError, ValueError, Pillow.DecompressionBombError):
        return None  # whoever reads it for its pixels says why
    return None if isinstance(decoded, DecodedImage) else brightest(decoded)


def file_size_px(path: Path) -> Size | None:
    """Return an upright image's height and width from its header; None where there is none to read."""
    try:
        with path.open("rb") as file:
            if (header := open_header(file)) is not None:
                return upright_size((header.height, header.width), orientation(header, may_read_pixels=False))
    except (OSError, ValueError, Pillow.DecompressionBombError):
        pass
    return None


def reduced_size(size: Size, side: int) -> Size:
    """Return the size with the shorter side reduced to `side`; as it is where it is no longer, or `side` is 0."""
    shorter = min(size)
    if not side or shorter <= side:
        return size
    height, width = (max(side, round(length * side / shorter)) for length in size)
    return height, width


def resize(image: Image, size: Size, extent: tuple[float, float] | None = None) -> Image:
    """Return the image at `size`, by area where it shrinks more than twice, as bilinear sampling would skip pixels.

    What shrinks less is sampled bilinearly: five times faster, and exact where it halves. Where an `extent` (height,
    width) is given the upper left is resized: a reduced JPEG's last row may be a part of one.
    """
    height, width = extent or image.shape[:2]
    if (height, width) == size:
        return image
    shrinks_much = min(height / size[0], width / size[1]) > 2
    interpolation = cv2.INTER_AREA if shrinks_much else cv2.INTER_LINEAR
    if (height, width) == image.shape[:2]:
        return np.asarray(cv2.resize(image, (size[1], size[0]), interpolation=interpolation), dtype=np.uint8)
    resized = cv2.resize(image, None, fx=size[1] / width, fy=size[0] / height, interpolation=interpolation)
    return np.asarray(resized[: size[0], : size[1]], dtype=np.uint8)


def allow(max_pixels: int, option: str) -> None:
    """Let images have as many pixels as the user says with `option`, also where Pillow asks its own limit: in TIFFs.

    Raise ConfigError where they are none, or more than can be read.
    """
    if not 1 <= max_pixels <= _MOST_PIXELS:
        of = f"a number of pixels from 1 to {_MOST_PIXELS:,}: 200 megapixels are 200000000"
        raise ConfigError(f"{option} is {max_pixels:,}; it is {of}.")
    if max_pixels > MAX_PIXELS and Pillow.MAX_IMAGE_PIXELS is not None:
        Pillow.MAX_IMAGE_PIXELS = max(Pillow.MAX_IMAGE_PIXELS, max_pixels)


def tell_of_frames(name: str) -> None:
    """Warn that of several pages or frames the first alone is taken: once, in whichever of the loaders' processes."""
    warn_once(
        _frames_told,
        f"{name} holds several pages or frames: the first alone is taken (of HEIC, the main one), here and in all "
        "others like it.",
    )


def _decode_jpeg(jpeg: bytes, name: str, header: ImageFile.ImageFile, side: int) -> DecodedImage:
    size, turn = (header.height, header.width), orientation(header)
    factor = next((factor for factor in _REDUCED if side and min(size) >= factor * side), 1)
    image = None
    with contextlib.suppress(cv2.error):
        # The reduced flags are those of grey images: the ones of colour ask for BGR.
        image = cv2.imdecode(np.frombuffer(jpeg, dtype=np.uint8), _AS_STORED | _REDUCED.get(factor, 0))
    if image is None:
        raise undecodable(name)
    reduced = resize(np.asarray(image, np.uint8), reduced_size(size, side), (size[0] / factor, size[1] / factor))
    return DecodedImage(upright(reduced, turn), upright_size(size, turn))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"{path}: cannot be read ({reason}). Restore the file or take its row out.") from error


def _decode(content: bytes, name: str, side: int, max_pixels: int) -> DecodedImage | Values:
    """Return a JPEG's image, or another format's values."""
    if not content:
        raise ImageError(f"{name}: is empty. Replace the file or take its row out of the table.")
    if n := unknown_channels(content):
        raise channels_unread(name, n)
    try:
        header = open_header(io.BytesIO(content))
        if header is not None and (n := header.width * header.height) > max_pixels:
            raise ImageError(
                f"{name}: has too many pixels: {header.width:,}×{header.height:,} are more than {max_pixels:,}. "
                f"Replace it by a smaller one; `predict` reads it with --allow_pixels {n}."
            )
        if not is_whole(content):
            raise undecodable(name)
        if header is None:
            return _by_opencv(content, name)
        if header.format in ("JPEG", "MPO") and header.mode in _OPENCVS_MODES:
            return _decode_jpeg(content, name, header, side)
        more = has_more_frames(header)
        values = _values(content, header, name)
    except Pillow.DecompressionBombError as error:
        raise ImageError(f"{name}: has too many pixels ({error}). Replace it by a smaller one.") from error
    if more:
        tell_of_frames(name)
    return values


def _values(content: bytes, header: ImageFile.ImageFile, name: str) -> Values:
    if not keeps_upper_bits(header, content):
        return values_of(header, name)
    array = _as_stored(content)
    if array is None or array.dtype != np.uint16:  # OpenCV cannot decode all bits
        return values_of(header, name)._replace(lost=True)
    return Values(upright(array, orientation(header)), white_of(header, content))


def _has_8_bits(header: ImageFile.ImageFile) -> bool:
    deep = header.mode.startswith(("I", "F")) or header.format in ("PPM", "JPEG2000")
    return not deep and not keeps_upper_bits(header, b"")


def _by_opencv(content: bytes, name: str) -> Values:
    """Decode what Pillow does not know."""
    if is_heif(content) and (error := needs_heif(name)) is not None:
        raise error
    if content[4:8] == ISO_FILE:  # AVIF, HEIF: OpenCV does not turn them, so where Pillow cannot read them nobody does
        raise undecodable(name)
    if (layout := tiff_layout(content)).has_deep_planes:
        raise planes_unread(name)
    if (values := read_pam(content)) is not None:
        return values
    array = None if content.startswith((PAM_START, _PNG_START)) else _as_stored(content)
    if array is None:
        raise undecodable(name)
    is_byte = array.dtype == np.uint8  # then OpenCV turns what is inverted itself
    return Values(array, white_of(None, content), layout.is_inverted and not is_byte, lost=is_byte and layout.bits > 8)


def _as_stored(content: bytes) -> NDArray[Any] | None:
    """Return the values (H, W, 3) of whichever type the file has, a TIFF's upright; None: OpenCV cannot decode it.

    Some grey ones of 32 and 64 bits are (H, W).
    """
    for flags in (_COLOURS, _GREY) if tiff_layout(content).bits > 16 else (_COLOURS,):
        with contextlib.suppress(cv2.error):  # a header that says a thousand million rows
            image = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), flags)
            if image is not None:  # asked for RGB, it swaps the bytes of TIFFs with 16 bits
                return np.ascontiguousarray(image[..., ::-1] if image.ndim == 3 else image)
    return None
