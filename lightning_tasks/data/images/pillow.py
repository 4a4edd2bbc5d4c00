"""What Pillow reads: headers, and all formats but JPEG; which way is up; and whether a file is whole."""

import io
import logging
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, ImageFile
from PIL import Image as Pillow

from lightning_tasks.data.images.depth import FULL, Values, channels_unread, planes_unread
from lightning_tasks.data.images.depth import Image as Image  # its users need not know where it is from
from lightning_tasks.data.images.stored_bits import SIXTEEN_BITS, layout_of_pillow
from lightning_tasks.errors import ImageError

logging.getLogger("PIL").addHandler(logging.NullHandler())  # its lines about bad images say no file's name

# None that Pillow hands to another program (EPS). TGA has no magic number, so it comes last. HEIF is pillow-heif's.
FORMATS = (
    "JPEG", "PNG", "WEBP", "AVIF", "HEIF", "GIF", "BMP", "DIB", "TIFF", "JPEG2000", "PPM", "ICO", "PCX", "SGI", "SUN",
    "QOI", "DDS", "TGA",
)  # fmt: skip

ISO_FILE = b"ftyp"  # AVIF, HEIF, and videos; which it is stands behind
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
_JPEG_START = b"\xff\xd8"
_END, _START = 0xD9, 0xD8  # the second bytes of markers
_WITHOUT_LENGTH = 0x01
_PREMULTIPLIED = {"RGBa": "RGBA", "La": "LA"}  # modes, and what becomes of them


def open_header(file: IO[bytes], formats: tuple[str, ...] = FORMATS) -> ImageFile.ImageFile | None:
    """Return an image whose pixels are not read yet; None where it has no header of these formats.

    As `PIL.Image.open`; but that has a limit on pixels of the whole process, and warns before it. The few formats that
    look at Pillow's limit themselves raise PIL.Image.DecompressionBombError.
    """
    Pillow.init()
    file.seek(0)
    start = file.read(16)
    known = {**Pillow.OPEN, **_heif_opener()} if is_heif(start) else Pillow.OPEN
    for factory, accept in (known[name] for name in formats if name in known):
        try:
            accepted = accept is None or accept(start)
            if accepted and not isinstance(accepted, str):  # a text says what is not installed
                file.seek(0)
                return factory(file, "")
        except Pillow.DecompressionBombError:
            raise
        except Exception:  # of a file that is another format's, or damaged, Pillow raises what it likes
            continue
    return None


def is_heif(start: bytes) -> bool:
    """Return whether a file that starts so is HEIF, as HEIC is; of AVIF some say so too."""
    return start[4:8] == ISO_FILE and start[8:12] in _HEIF_BRANDS


def _heif_opener() -> dict[str, tuple[Any, Any]]:
    """Return what reads HEIF, as `PIL.Image.OPEN` has it; nothing where it is not installed."""
    try:
        from pillow_heif import HeifImageFile
    except ImportError:
        return {}
    return {"HEIF": (HeifImageFile, is_heif)}


def needs_heif(name: str) -> ImageError | None:
    """Return an error that says what to install for HEIC; None: it is installed."""
    if _heif_opener():
        return None
    return ImageError(f"{name}: is HEIC, which takes one more package: pip install 'lightning-tasks[heif]'.")


def has_more_frames(image: Pillow.Image) -> bool:
    """Return whether it is the first of several pages or frames: of a TIFF, a GIF, a PNG, a WebP or an AVIF.

    Of a HEIC's images it is the main one, wherever that lies.
    """
    try:
        # What a phone's MPO holds besides is the same image again, or a map of its depth.
        is_first = image.info.get("primary", False) if image.format == "HEIF" else image.tell() == 0
        return image.format != "MPO" and bool(getattr(image, "is_animated", False)) and is_first
    except Exception:  # the next page is damaged
        return False


def values_of(image: Pillow.Image, name: str) -> Values:
    """Return an image's values, upright, without transparency; raise ImageError if it has no pixels or is damaged."""
    try:
        layout = layout_of_pillow(image)
        if layout.unknown_channels:
            raise channels_unread(name, layout.unknown_channels)
        image.load()
        if 0 in image.size:
            raise ImageError(f"{name}: has no pixels ({image.width}×{image.height}). Replace it, or take it out.")
        turn = orientation(image)
        if layout.has_deep_planes:
            raise planes_unread(name)
        if image.mode not in (*SIXTEEN_BITS, "I", "F"):
            if layout.is_signed and image.mode == "L":
                return Values(upright(np.array(image).view(np.int8), turn), is_inverted=layout.is_inverted)
            # A copy, as torch wants what can be written to.
            return Values(upright(np.array(_colours(image)), turn), lost=layout.bits > 8)
        array = np.asarray(image)
        scaled = image.format in ("PPM", "JPEG2000")  # by Pillow, to 16 bits, from however many there were
        if scaled or image.mode in SIXTEEN_BITS:
            array = array.astype(np.uint16)
        white = 2**layout.bits - 1 if 8 < layout.bits < 16 else None
        if image.format == "HEIF":  # whose reader scales its 10 or 12 bits
            white = FULL
        return Values(upright(array, turn), white, layout.is_inverted, lost=scaled)
    except (Pillow.DecompressionBombError, ImageError):
        raise
    except Exception as error:  # the readers of the formats raise what they like
        raise undecodable(name, str(error)) from error


def _colours(image: Pillow.Image) -> Pillow.Image:
    if image.mode == "P" and isinstance(image.info.get("transparency"), bytes):
        image = image.convert("RGBA")  # or Pillow warns that it drops what we drop
    elif image.mode in _PREMULTIPLIED:  # which Pillow converts to no others
        image = image.convert(_PREMULTIPLIED[image.mode])
    return image.convert("RGB")


def undecodable(name: str, why: str = "") -> ImageError:
    """Return an error that says what to do."""
    return ImageError(
        f"{name}: is not an image that can be decoded (cut short, damaged, or another format{why and ': '}{why}). "
        "Replace the file or take its row out of the table."
    )


def orientation(image: Pillow.Image, *, may_read_pixels: bool = True) -> int:
    """Return how what was decoded of a file is still to be turned: 1 to 8 as EXIF has them, where 1 is upright.

    EXIF, XMP and AVIF say it; a PNG perhaps behind its pixels, which Pillow then reads. Neither Pillow nor OpenCV is
    asked to turn anything, but a TIFF is turned by both: by Pillow its size when it is opened and its pixels when they
    are read, by OpenCV its pixels. A HEIC is turned by its reader, as its own boxes say; its EXIF is not to (MIAF).
    """
    if image.format in ("TIFF", "HEIF"):
        return 1
    try:
        exif = image.getexif() if may_read_pixels else Pillow.Image.getexif(image)
        found = exif.get(ExifTags.Base.Orientation, 1)
    except Exception:  # of damaged metadata, Pillow raises what it likes; the pixels are another matter
        return 1
    return found if found in range(1, 9) else 1


def upright(image: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Return the pixels (H, W, ...) turned as an orientation asks; (W, H, ...) from 5 on."""
    if orientation >= 5:
        image = image.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)


def upright_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Return height and width of what `upright` returns."""
    return size[::-1] if orientation >= 5 else size


def is_whole(content: bytes) -> bool:
    """Return whether a file's bytes are whole, as far as a decoder would not say so itself. More may follow them.

    What a JPEG lacks decoders make up in grey, and Pillow reads a PNG whatever its check sums say. Of the other formats
    its readers want every byte of the pixels.
    """
    if content.startswith(_JPEG_START):
        return _jpeg_is_whole(content)
    header = open_header(io.BytesIO(content), ("PNG",))
    if header is None:
        return True
    try:
        header.verify()
    except Exception:  # Pillow raises what it likes
        return False
    return True


def _jpeg_is_whole(jpeg: bytes) -> bool:
    """Follow the segments one by one to the end of the image (ITU-T T.81, annex B).

    So neither a thumbnail within a segment nor what a phone appends (a video, a second image) is taken for the end.
    """
    data = np.frombuffer(jpeg, dtype=np.uint8)
    markers, at = _markers(data), len(_JPEG_START)
    while (i := int(np.searchsorted(markers, at))) < len(markers):
        at = int(markers[i]) + 2
        marker = int(data[at - 1])
        if marker in (_END, _START):  # another begins where this one has no end
            return marker == _END
        if marker != _WITHOUT_LENGTH:
            at += int.from_bytes(jpeg[at : at + 2], "big")
    return False


def _markers(data: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return where a marker may be: 0xff that is followed by one.

    Among the pixels 0xff is followed by a zero, and restarts (0xd0 to 0xd7) stand between their parts.
    """
    at = np.flatnonzero(data[:-1] == 0xFF)
    following = data[at + 1]
    of_one = (following != 0) & (following != 0xFF) & ((following < 0xD0) | (following > 0xD7))
    return np.asarray(at[of_one], dtype=np.int64)
