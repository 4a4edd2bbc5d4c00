"""Points of mirrored images."""

from collections.abc import Sequence

import torch
from torch import Tensor


def mirrored_order(names: Sequence[str], swap_pairs: Sequence[Sequence[str]] | None) -> tuple[int, ...] | None:
    """Return which point each becomes in a mirrored image; None where it is not known.

    Args:
        names: of the points.
        swap_pairs: names that change places, such as left and right eye. A single point needs none.
    """
    if not swap_pairs:
        return (0,) if len(names) == 1 else None
    other = {a: b for pair in swap_pairs for a, b in (pair, pair[::-1])}
    return tuple(names.index(other.get(name, name)) for name in names)


def unmirrored(points_norm: Tensor, order: Sequence[int], width_px: int) -> Tensor:
    """Return the points (B, P, 2) of images for those of the mirrored images, both on the −1..1 scale.

    Args:
        points_norm: (B, P, 2), of the mirrored images.
        order: see `mirrored_order`.
        width_px: of the images: the last pixel's centre becomes the first's, which is position −1.
    """
    x = -points_norm[..., 0] - 2 / width_px
    return torch.stack([x, points_norm[..., 1]], -1)[:, list(order)]
