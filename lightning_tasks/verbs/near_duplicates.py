"""Images on both sides of the split that look alike: their hashes propose them, and their pixels decide."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from lightning_tasks.data.images.decode import Image
from lightning_tasks.data.images.opencv import cv2
from lightning_tasks.data.tables.splits import Rows

NEAR_DUPLICATE = "near-duplicate"
_SIDE = 32  # of the thumbnails, which are kept of all images: 3 kB each
_MOST = 0.125  # of what the images themselves vary by, their thumbnails may differ by
_MOST_VIVID = 0.2  # likewise, once both are as bright and vary as much
_VIVID = 16  # levels; images that vary by as many are seldom alike by accident
_STACKED = 4096
_AT_ONCE = 64  # whole thumbnails that are compared with one


class Looks(NamedTuple):
    """What is kept of an image's pixels."""

    hash: int  # perceptual, of 64 bits
    thumbnail: bytes  # _SIDE × _SIDE RGB


class Pair(NamedTuple):
    """A training image, and the one of validation that it looks like most."""

    train: int  # rows of the table
    valid: int
    bits: int  # in which their hashes differ
    levels: float  # of 255, by which their thumbnails differ on average


def looks_of(image: Image) -> Looks:
    """Return what an (H, W, 3) image looks like."""
    thumbnail = cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    found = imagehash.phash(Pillow.fromarray(thumbnail))  # which would reduce the image to this size itself, slowly
    return Looks(int(str(found), 16), thumbnail.tobytes())


def near_duplicates(looks: Sequence[Looks], train: Rows, valid: Rows, max_distance: int) -> list[Pair]:
    """Return the training images (rows of N looks) that look like one of validation.

    Those with nothing in them but a plain ground or a few lines share a hash, and so their pixels are compared: they
    must agree but for a share of what the images vary by. So two plain ones of one colour agree, of two they do not.
    Photographs also agree where one is brighter or has more contrast. `max_distance`: bits in which hashes may differ.
    """
    if not len(valid):
        return []
    hashes = np.array([looks[row].hash for row in valid], dtype=np.uint64)
    others = _stack([looks[row] for row in valid])
    coarse, contrasts = _coarse(others), _contrasts(others)
    pairs = []
    for row in train:
        bits: NDArray[np.uint8] = np.bitwise_count(hashes ^ np.uint64(looks[row].hash))
        proposed = np.flatnonzero(bits <= max_distance)
        if not len(proposed):
            continue
        own = _stack([looks[row]])
        # No images differ by less than their blocks' means do: a quick answer for most of those that share a hash.
        levels, most = _differences(coarse, proposed, _coarse(own), contrasts[proposed], _contrasts(own))
        alike = levels <= most + 1e-3
        proposed = proposed[alike][np.argsort(levels[alike], kind="stable")]
        for part in (proposed[i : i + _AT_ONCE] for i in range(0, len(proposed), _AT_ONCE)):
            levels, most = _differences(others, part, own, contrasts[part], _contrasts(own))
            if (levels <= most).any():
                nearest = int(np.where(levels <= most, levels, np.inf).argmin())
                other = part[nearest]
                pairs.append(Pair(int(row), int(valid[other]), int(bits[other]), float(levels[nearest])))
                break
    return pairs


def _stack(looks: Sequence[Looks]) -> NDArray[np.uint8]:
    """Return thumbnails (N, _SIDE², 3)."""
    return np.frombuffer(b"".join(look.thumbnail for look in looks), dtype=np.uint8).reshape(len(looks), -1, 3)


def _coarse(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the mean colours (N, 16, 3) of 4×4 blocks."""
    blocks = thumbnails.reshape(-1, 4, _SIDE // 4, 4, _SIDE // 4, 3)
    return np.asarray(blocks.mean((2, 4), dtype=np.float32).reshape(len(thumbnails), -1, 3))


def _contrasts(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return by how many levels (N,) they differ from their mean colours on average."""
    parts = [thumbnails[i : i + _STACKED] for i in range(0, len(thumbnails), _STACKED)]
    return np.concatenate(
        [np.abs(part - part.mean(1, keepdims=True).astype(np.float32)).mean((1, 2)) for part in parts]
    )


def _differences(
    thumbnails: NDArray[Any],
    chosen: NDArray[np.intp],
    thumbnail: NDArray[Any],
    contrasts: NDArray[np.float32],
    own: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return by how many levels (n,) n chosen of the thumbnails (N, pixels, 3) differ from `thumbnail` (1, pixels, 3).

    And by how many they may, given the contrasts of the chosen (n,) and its own (1,).
    """
    least = np.minimum(contrasts, own)
    vivid = least >= _VIVID
    others, to_equal = thumbnails[chosen].astype(np.float32), vivid[:, None, None]
    theirs = np.where(to_equal, _equalise(others, contrasts, least), others)
    ours = np.where(to_equal, _equalise(thumbnail.astype(np.float32), own, least), thumbnail)
    most = np.where(vivid, _MOST_VIVID, _MOST) * least
    return np.abs(theirs - ours).mean((1, 2), dtype=np.float32), most


def _equalise(
    images: NDArray[np.float32], contrasts: NDArray[np.float32], wanted: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return images about a mean of 0, with the contrast that is wanted."""
    gain = wanted / np.maximum(contrasts, 1)  # less is not vivid
    return np.asarray((images - images.mean((1, 2), keepdims=True)) * gain[:, None, None], dtype=np.float32)
