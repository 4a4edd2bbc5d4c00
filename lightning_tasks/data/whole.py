"""Whether an image file is whole: the one answer for training, predictions, the server, the cache and `check`.

Decoders need not notice: what a JPEG lacks they make up in grey, and Pillow reads a PNG whatever its check sums say.
Of the other formats Pillow's readers want every byte of the pixels.
"""

import io
import re

from lightning_tasks.data.pillow import open_header

JPEG_START = b"\xff\xd8"
_MARKER = re.compile(rb"\xff+([^\x00\xff])", re.DOTALL)
# Within the pixels 0xff is followed by a zero, and restarts stand between their parts.
_AFTER_PIXELS = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL)
_END, _SCAN, _START = 0xD9, 0xDA, 0xD8
_WITHOUT_LENGTH = frozenset((0x01, _START, *range(0xD0, 0xD8)))


def is_whole(content: bytes) -> bool:
    """Return whether a file's bytes are whole, as far as a decoder would not say so itself. More may follow them."""
    if content.startswith(JPEG_START):
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
    at, pattern = 0, _MARKER
    while found := pattern.search(jpeg, at):
        marker, at, pattern = found[1][0], found.end(), _MARKER
        if marker == _END:
            return True
        if marker not in _WITHOUT_LENGTH:
            at += int.from_bytes(jpeg[at : at + 2], "big")
        if marker == _SCAN:
            pattern = _AFTER_PIXELS
    return False
