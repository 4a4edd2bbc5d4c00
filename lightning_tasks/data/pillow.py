"""What Pillow reads: headers, all formats but JPEG, and the images that it hands on."""

from collections.abc import Callable
from functools import partial
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, ImageFile
from PIL import Image as Pillow

from lightning_tasks.errors import ImageError

Image = NDArray[np.uint8]  # (H, W, 3) RGB

# None that Pillow hands to another program (EPS). TGA has no magic number, so it comes last. HEIF is there where the
# user has registered a plug-in that reads it.
FORMATS = (
    "JPEG", "PNG", "WEBP", "AVIF", "HEIF", "GIF", "BMP", "DIB", "TIFF", "JPEG2000", "PPM", "ICO", "PCX", "SGI", "SUN",
    "QOI", "DDS", "TGA",
)  # fmt: skip

_SIXTEEN_BITS = frozenset(("I;16", "I;16L", "I;16B", "I;16N"))
_TURNED_BY_90 = frozenset((5, 6, 7, 8))  # EXIF orientations


def open_header(file: IO[bytes], formats: tuple[str, ...] = FORMATS) -> ImageFile.ImageFile | None:
    """Return an image whose pixels are not read yet; None where it has no header of these formats.

    As `PIL.Image.open`; but that has a limit on pixels of the whole process, and warns before it.

    Raises:
        PIL.Image.DecompressionBombError: of the few formats that look at Pillow's limit themselves.
    """
    Pillow.init()
    file.seek(0)
    start = file.read(16)
    for factory, accept in (Pillow.OPEN[name] for name in formats if name in Pillow.OPEN):
        try:
            accepted = accept is None or accept(start)
            if accepted and not isinstance(accepted, str):  # a text says what is not installed
                file.seek(0)
                return factory(file, "")
        except Pillow.DecompressionBombError:
            raise
        except Exception:
            continue
    return None


def orientation(image: Pillow.Image) -> int:
    """Return how a file's pixels are turned, as EXIF, XMP and AVIF say: 1 to 8, where 1 is upright."""
    return _valid(image.getexif)


def header_orientation(header: ImageFile.ImageFile) -> int:
    """Return what `orientation` does for a file of which no pixels are read, nor shall be; its `size` is as stored."""
    if header.format == "TIFF":  # whose size Pillow has turned
        return 1
    return _valid(partial(Pillow.Image.getexif, header))  # a PNG's own method would read the pixels


def _valid(getexif: Callable[[], Pillow.Exif]) -> int:
    try:
        found = getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # of damaged metadata, Pillow raises what it likes; the pixels are another matter
        return 1
    return found if found in range(1, 9) else 1


def upright(image: Image, orientation: int) -> Image:
    """Return the pixels (H, W, 3) turned as an orientation asks; (W, H, 3) from 5 on."""
    if orientation in _TURNED_BY_90:
        image = image.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)


def upright_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Return height and width of what `upright` returns."""
    return size[::-1] if orientation in _TURNED_BY_90 else size


def has_more_frames(image: Pillow.Image) -> bool:
    """Return whether it is the first of several pages or frames: of a TIFF, a GIF, a PNG, a WebP or an AVIF."""
    try:
        # What a phone's MPO holds besides is the same picture again, or a map of its depth.
        return image.format != "MPO" and bool(getattr(image, "is_animated", False)) and image.tell() == 0
    except Exception:  # the next page is damaged
        return False


def to_rgb(image: Pillow.Image, name: str) -> Image:
    """Return an image as (H, W, 3) uint8 RGB, upright. Transparency is dropped; of 16 bits the upper 8 are taken.

    Args:
        image: of a mode that says which values are black and white.
        name: stands in messages.

    Raises:
        ImageError: its values may mean anything, or it is cut short or damaged.
    """
    try:
        image.load()
        if 0 in image.size:
            raise ImageError(f"{name}: has no pixels ({image.width}×{image.height}). Replace it, or take it out.")
        if image.mode in _SIXTEEN_BITS or (image.mode == "I" and image.format == "PPM"):  # a PGM's, scaled by Pillow
            grey = upper_bits(np.asarray(image).astype(np.uint16), name)
            return upright(np.repeat(grey[:, :, None], 3, axis=2), orientation(image))
        if image.mode not in ("I", "F"):
            return upright(np.array(image.convert("RGB")), orientation(image))  # torch wants what can be written to
    except (Pillow.DecompressionBombError, ImageError):
        raise
    except Exception as error:  # the readers of the formats raise what they like
        raise undecodable(name, str(error)) from error
    raise ImageError(f"{name}: {unknown_values(f'mode {image.mode}')}")


def upper_bits(values: NDArray[np.uint16], name: str) -> NDArray[np.uint8]:
    """Return the upper 8 of 16 bits.

    Raises:
        ImageError: nothing is in them, though not all is black: the values are likely ones of 8 bits.
    """
    brightest = int(values.max(initial=0))
    if 0 < brightest < 256:
        raise ImageError(f"{name}: {unknown_values(f'16 bits, of which none is above {brightest} of 65535')}")
    return (values >> 8).astype(np.uint8)


def undecodable(name: str, why: str = "") -> ImageError:
    """Return an error that says what to do."""
    return ImageError(
        f"{name}: is not a picture that can be decoded (cut short, damaged, or another format{why and ': '}{why}). "
        "Replace the file or take its row out of the table."
    )


def unknown_values(kind: str) -> str:
    """Return what to do with values of which nothing says which is white."""
    return (
        f"its values may mean anything ({kind}): nothing says which is white. Scale them to 0..255 and make them uint8 "
        "(8 bits), or to 0..65535 and uint16 (16 bits)."
    )
