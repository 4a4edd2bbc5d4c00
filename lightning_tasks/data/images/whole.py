"""Whether an image file is whole: the one answer for training, predictions, the server, the cache and `check`.

Decoders need not notice: what a JPEG lacks they make up in grey, and Pillow reads a PNG whatever its check sums say.
Of the other formats Pillow's readers want every byte of the pixels.
"""

import io

import numpy as np
from numpy.typing import NDArray

from lightning_tasks.data.images.pillow import open_header

JPEG_START = b"\xff\xd8"
_END, _START = 0xD9, 0xD8
_WITHOUT_LENGTH = 0x01


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
    data = np.frombuffer(jpeg, dtype=np.uint8)
    markers, at = _markers(data), len(JPEG_START)
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
