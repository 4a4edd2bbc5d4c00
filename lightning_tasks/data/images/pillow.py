"""What Pillow reads: headers, all formats but JPEG, and the images that it hands on."""

from typing import IO

import numpy as np
from PIL import Image as Pillow
from PIL import ImageFile

from lightning_tasks.data.images.depth import Image as Image  # its users need not know where it is from
from lightning_tasks.data.images.depth import Values, planes_unread
from lightning_tasks.data.images.orientation import orientation, upright
from lightning_tasks.data.images.stored_bits import SIXTEEN_BITS, layout_of_loaded
from lightning_tasks.errors import ImageError

# None that Pillow hands to another program (EPS). TGA has no magic number, so it comes last. HEIF is there where the
# user has registered a plug-in that reads it.
FORMATS = (
    "JPEG", "PNG", "WEBP", "AVIF", "HEIF", "GIF", "BMP", "DIB", "TIFF", "JPEG2000", "PPM", "ICO", "PCX", "SGI", "SUN",
    "QOI", "DDS", "TGA",
)  # fmt: skip

_BYTE_BITS, _FULL_BITS = 8, 16


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


def has_more_frames(image: Pillow.Image) -> bool:
    """Return whether it is the first of several pages or frames: of a TIFF, a GIF, a PNG, a WebP or an AVIF."""
    try:
        # What a phone's MPO holds besides is the same image again, or a map of its depth.
        return image.format != "MPO" and bool(getattr(image, "is_animated", False)) and image.tell() == 0
    except Exception:  # the next page is damaged
        return False


def values_of(image: Pillow.Image, name: str) -> Values:
    """Return an image's values, upright. Transparency is dropped.

    Args:
        image: of any mode.
        name: stands in messages.

    Raises:
        ImageError: it has no pixels, or is cut short or damaged.
    """
    try:
        image.load()
        if 0 in image.size:
            raise ImageError(f"{name}: has no pixels ({image.width}×{image.height}). Replace it, or take it out.")
        layout, turn = layout_of_loaded(image), orientation(image)
        if layout.has_deep_planes:
            raise planes_unread(name)
        if image.mode not in (*SIXTEEN_BITS, "I", "F"):
            if layout.is_signed and image.mode == "L":
                return Values(upright(np.array(image).view(np.int8), turn), is_inverted=layout.is_inverted)
            # A copy, as torch wants what can be written to.
            return Values(upright(np.array(_colours(image)), turn), lost=layout.bits > _BYTE_BITS)
        array = np.asarray(image)
        scaled = image.format in ("PPM", "JPEG2000")  # by Pillow, to 16 bits, from however many there were
        if scaled or image.mode in SIXTEEN_BITS:
            array = array.astype(np.uint16)
        white = 2**layout.bits - 1 if _BYTE_BITS < layout.bits < _FULL_BITS else None
        return Values(upright(array, turn), white, layout.is_inverted, lost=scaled)
    except (Pillow.DecompressionBombError, ImageError):
        raise
    except Exception as error:  # the readers of the formats raise what they like
        raise undecodable(name, str(error)) from error


def _colours(image: Pillow.Image) -> Pillow.Image:
    if image.mode == "P" and isinstance(image.info.get("transparency"), bytes):
        image = image.convert("RGBA")  # or Pillow warns that it drops what we drop
    return image.convert("RGB")


def undecodable(name: str, why: str = "") -> ImageError:
    """Return an error that says what to do."""
    return ImageError(
        f"{name}: is not an image that can be decoded (cut short, damaged, or another format{why and ': '}{why}). "
        "Replace the file or take its row out of the table."
    )
