"""What a file says of its values, and Pillow and OpenCV pass over: their bits, which is white, which are colours.

Pillow keeps the upper 8 of 16 bits of colours; of channels that are no colours both drop some, each its own.
"""

import io
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from PIL import Image as Pillow
from PIL import ImageFile, TiffImagePlugin

from lightning_tasks.data.images.depth import FULL, Values

SIXTEEN_BITS = frozenset(("I;16", "I;16L", "I;16B", "I;16N"))  # of Pillow's modes
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BIG = b"+"  # a TIFF of more than 4 GB
_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLES, _PLANES, _SAMPLE_FORMAT = 258, 262, 277, 284, 339  # tags
_SIGNED, _WHITE_IS_ZERO, _SEPARATE = 2, 0, 2  # values of theirs
_EXTRA_SAMPLES, _TRANSPARENCY = 338, (1, 2)  # a tag, and its values
_COLOURS_OF = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3}  # by photometric interpretation: grey, RGB, CMYK, ...
_MOST_CHANNELS = 4  # of other formats: three colours and transparency
_CODESTREAM = b"\xff\x4f\xff\x51"  # of JPEG 2000; how many components, and their sizes, are 40 bytes behind
_JPEG2000_STARTS = (_CODESTREAM, b"\0\0\0\x0cjP  ")

# PAM, the netpbm format that Pillow does not know, and of whose values and colours OpenCV mistakes some.
PAM_START = b"P7\n"
_PAM_HEADER = re.compile(rb"P7\n(.*?\n)?ENDHDR\n", re.DOTALL)
_PAM_LINE = re.compile(rb"^(WIDTH|HEIGHT|DEPTH|MAXVAL)\s+(\d+)\s*$", re.MULTILINE)
_LONGEST_PAM_HEADER = 10_000  # of headers, with their comments


class TiffLayout(NamedTuple):
    """What a TIFF says of its values."""

    bits: int = 0  # of each; 0 where it does not say
    is_signed: bool = False
    is_inverted: bool = False  # white is 0; with more than 8 bits, neither Pillow nor OpenCV minds
    has_deep_planes: bool = False  # a plane for each colour, of more than 8 bits: Pillow and OpenCV mix them up
    unknown_channels: int = 0  # how many channels it has, where these are not colours and transparency alone


def keeps_upper_bits(header: ImageFile.ImageFile, content: bytes) -> bool:
    """Return whether Pillow would reduce a file's values to 8 bits, or scale them; none of its pixels are read yet."""
    if header.format == "PPM":
        return _ppm_maximum(header) > 255
    if header.format == "JPEG2000":
        return jpeg2000_bits(content) > 8
    if header.mode in (*SIXTEEN_BITS, "I", "F"):
        return False
    return any(";16" in str(tile.args) or tile.codec_name == "SGI16" for tile in header.tile)


def white_of(header: ImageFile.ImageFile | None, content: bytes) -> int | None:
    """Return which of the values that OpenCV reads is white, where the file says so.

    All of 16 bits says nothing: so do programs that put 12 bits into 16.
    """
    if header is None:  # of TIFFs, OpenCV scales 10, 12 and 14 bits to 16
        return FULL if content.startswith(_TIFF_STARTS) and 8 < tiff_layout(content).bits < 16 else None
    if header.format == "PPM":
        white = _ppm_maximum(header)
    else:
        white = 2 ** jpeg2000_bits(content) - 1 if header.format == "JPEG2000" else FULL
    return None if white == FULL else white


def tiff_layout(content: bytes) -> TiffLayout:
    """Return what a TIFF says of its values; of another file that it says nothing."""
    if not content.startswith(_TIFF_STARTS):
        return TiffLayout()
    try:
        directory = TiffImagePlugin.ImageFileDirectory_v2(content[: 16 if _BIG in content[2:4] else 8])
        file = io.BytesIO(content)
        file.seek(directory.next)
        directory.load(file)
        return _layout(directory)
    except Exception:  # of damaged ones Pillow raises what it likes
        return TiffLayout()


def unknown_channels(content: bytes) -> int:
    """Return how many channels a file says it has, where they are more than colours and transparency; else 0."""
    if content.startswith(_TIFF_STARTS):
        return tiff_layout(content).unknown_channels
    n = 0
    if content.startswith(PAM_START):
        n = (_pam_header(content) or {}).get("DEPTH", 0)
    elif content.startswith(_JPEG2000_STARTS):
        at = content.find(_CODESTREAM)
        n = 0 if at < 0 else int.from_bytes(content[at + 40 : at + 42], "big")
    return n if n > _MOST_CHANNELS else 0


def jpeg2000_bits(content: bytes) -> int:
    """Return how many bits a JPEG 2000's values have; 0 where it does not say."""
    at = content.find(_CODESTREAM)
    return 0 if at < 0 or len(content) < at + 43 else (content[at + 42] & 0x7F) + 1


def layout_of_pillow(image: Pillow.Image) -> TiffLayout:
    """Return what the TIFF said that a PIL image was read from, as far as it still knows."""
    return _layout(image.tag_v2) if isinstance(image, TiffImagePlugin.TiffImageFile) else TiffLayout()


def _layout(tags: Mapping[int, Any]) -> TiffLayout:
    bits = int(max(tags.get(_BITS_PER_SAMPLE, (0,))))
    return TiffLayout(
        bits,
        is_signed=max(tags.get(_SAMPLE_FORMAT, (1,))) == _SIGNED,
        is_inverted=tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO,
        has_deep_planes=bits > 8 and tags.get(_SAMPLES, 1) > 1 and tags.get(_PLANES) == _SEPARATE,
        unknown_channels=_unknown_samples(tags),
    )


def _unknown_samples(tags: Mapping[int, Any]) -> int:
    n, extra = int(tags.get(_SAMPLES, 1)), tags.get(_EXTRA_SAMPLES, ())
    others = n - _COLOURS_OF.get(tags.get(_PHOTOMETRIC, -1), min(n, _MOST_CHANNELS))
    meant = extra if isinstance(extra, tuple) else (extra,)  # of one that nothing is said of, transparency is meant
    is_other = others == 1 and not set(meant) <= set(_TRANSPARENCY)
    return n if others > 1 or is_other or n > _MOST_CHANNELS else 0


def _ppm_maximum(header: ImageFile.ImageFile) -> int:
    args = header.tile[0].args if header.tile else None
    if isinstance(args, tuple) and isinstance(args[-1], int):
        return args[-1]
    return FULL if args == "I;16B" else 255


def read_pam(content: bytes) -> Values | None:
    """Return a PAM's values, without transparency; None: it is none, or is cut short.

    Source: https://netpbm.sourceforge.net/doc/pam.html.
    """
    header = _pam_header(content)
    if header is None:
        return None
    height, width, channels, white = (header[name] for name in ("HEIGHT", "WIDTH", "DEPTH", "MAXVAL"))
    kind = np.dtype(">u2" if white > 255 else "u1")
    n = height * width * channels
    if not (n and channels <= 4 and 0 < white <= FULL and len(content) >= header["ENDHDR"] + n * kind.itemsize):
        return None
    array = np.frombuffer(content, kind, n, header["ENDHDR"]).reshape(height, width, channels)
    colours = array[:, :, :3] if channels >= 3 else array[:, :, 0]
    # All of 8 or 16 bits says nothing: so do programs that put 12 bits into 16.
    return Values(colours.astype(kind.newbyteorder("=")), None if white in (255, FULL) else white)


def _pam_header(content: bytes) -> dict[str, int] | None:
    found = _PAM_HEADER.match(content[:_LONGEST_PAM_HEADER])
    lines = {name.decode(): int(value) for name, value in _PAM_LINE.findall(found[0])} if found else {}
    return {**lines, "ENDHDR": found.end()} if found and len(lines) == 4 else None
