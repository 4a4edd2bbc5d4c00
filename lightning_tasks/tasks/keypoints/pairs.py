"""Which points change places in a mirrored image, as far as their names and positions tell."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_APART = 0.8  # of the cases a pair is on both sides of a face's middle: heads turn
_LOOKED_AT = 10_000  # images
_IN_A_ROW = 68
_NUMBERED = re.compile(r"(\D*)(\d+)")
# A side in a name: a word, whatever it is glued to, or a letter that stands alone (l_hand, hand.R, LEye, eyeL, l2).
_SIDE = re.compile(
    r"left|right|Left|Right|LEFT|RIGHT"
    r"|(?<![A-Za-z])[lr](?![A-Za-z])"
    r"|(?:(?<![A-Za-z])|(?<=[a-z]))[LR](?=[A-Z][a-z]|[^A-Za-z]|$)"
)
_OTHER = {a: b for left, right in (("left", "right"), ("Left", "Right"), ("LEFT", "RIGHT"), ("l", "r"), ("L", "R"))
          for a, b in ((left, right), (right, left))}  # fmt: skip
# Left and right of the usual 68 points of a face (Multi-PIE's, 300-W's, dlib's), counted from 0.
_FACE_68 = (
    *((i, 16 - i) for i in range(8)),
    *((17 + i, 26 - i) for i in range(5)),
    *((31, 35), (32, 34)),
    *((36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)),
    *((48, 54), (49, 53), (50, 52), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67)),
)
_OUTER_CORNERS = (36, 45)  # of the eyes


class Mirroring(NamedTuple):
    """What becomes of points in a mirrored image."""

    pairs: list[tuple[str, str]] | None  # that change places; None: not known
    why: str
    between: tuple[str, str] | None = None  # by whose distance errors are told as a share; None: not known


def find_mirroring(names: Sequence[str], points_px: NDArray[np.floating]) -> Mirroring:
    """Return which of P points change places in a mirrored image, by their names; of 68 numbered ones, by positions.

    Args:
        names: of the points.
        points_px: (N, P, 2), NaN where not annotated.
    """
    if len(names) == 1:
        return Mirroring([], "one point stays itself in a mirrored image")
    if (face := _face_68(names, points_px)) is not None:
        return face
    partners = {name: _partners(name) for name in names}
    found = {name: next((other for other in others if other in partners), None) for name, others in partners.items()}
    alone = [name for name, other in found.items() if other is None and partners[name]]
    pairs = [(a, b) for a, b in found.items() if b is not None and found[b] == a and names.index(a) < names.index(b)]
    unknown = "training images are not mirrored, as"
    if not pairs:
        return Mirroring(None, f"{unknown} no points are named that would change places: [[left, right], ...]")
    if alone:
        return Mirroring(None, f"{unknown} {alone[0]!r} names a side, and there is no other: [[left, right], ...]")
    return Mirroring(pairs, "points that change places in a mirrored image, by their names: check them")


def _partners(name: str) -> list[str]:
    """Return what the same point of the other side may be called, the likeliest first; none for one of neither side.

    A single letter alone is no side: `l` and `r` may be anything.
    """
    sides = list(_SIDE.finditer(name))
    if not sides or (len(name) == 1):
        return []
    each = [f"{name[: side.start()]}{_OTHER[side[0]]}{name[side.end() :]}" for side in sides]
    return list(dict.fromkeys([_SIDE.sub(lambda side: _OTHER[side[0]], name), *each]))


def _face_68(names: Sequence[str], points_px: NDArray[np.floating]) -> Mirroring | None:
    """Return the pairs of 68 points that are numbered alike; None: they are not."""
    parts = [_NUMBERED.fullmatch(name) for name in names]
    if len(names) != _IN_A_ROW or None in parts or len({part[1] for part in parts if part}) != 1:
        return None
    order = sorted(range(len(names)), key=lambda i: int(parts[i][2]))  # type: ignore[index]  # none is None
    numbers = [int(parts[i][2]) for i in order]  # type: ignore[index]  # none is None
    if numbers != list(range(numbers[0], numbers[0] + _IN_A_ROW)):
        return None
    apart = _share_apart(points_px[:, order, 0])
    if apart is not None and apart < _APART:
        return Mirroring(
            None,
            "training images are not mirrored: there are 68 points, but those that change places on a face are on its "
            f"two sides in {apart:.0%} of the cases alone: [[left, right], ...]",
        )
    pairs = [(names[order[a]], names[order[b]]) for a, b in _FACE_68]
    seen = "" if apart is None else f", and are on its two sides in {apart:.1%} of the cases here"
    first, second = (names[order[corner]] for corner in _OUTER_CORNERS)
    return Mirroring(pairs, f"the usual 68 points of a face change places like this{seen}", (first, second))


def _share_apart(x_px: NDArray[np.floating]) -> float | None:
    """Return in which share of the cases, (N, 68) positions, a pair lies on both sides of the middle of its face.

    Of one's own points in another order it is less than a half; None: nothing is annotated.
    """
    x_px = x_px[:: len(x_px) // _LOOKED_AT + 1]
    x_px = x_px[~np.isnan(x_px).all(1)]
    left, right = (x_px[:, list(side)] - np.nanmedian(x_px, 1, keepdims=True) for side in zip(*_FACE_68, strict=True))
    product = (left * right)[~np.isnan(left + right)]
    return float((product < 0).mean()) if np.any(product) else None
