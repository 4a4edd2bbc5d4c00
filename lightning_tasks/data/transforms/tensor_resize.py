"""Images of any size to what the network sees: the one resize of predictions and exports.

It does what the data modules do before validation, to within a level of 255, in operations that PyTorch and ONNX share:
a resize of an image is a matrix on its left, which mixes rows, and one on its right, which mixes columns.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from lightning_tasks.data.images.decode import Size
from lightning_tasks.data.transforms.geometry import SquashCrop

_SHRINKS_MUCH = 2  # from there on by area: see `data.images.resize`


class Window(NamedTuple):
    """What the network sees of an image: it is squashed, and the centre cut out."""

    size: Size  # height and width of what is seen
    val_xtra: float  # how much larger the squashed image is; 0: all of it is seen


class Preprocess(nn.Module):
    """Resize and cut; `side`: the image is first reduced to this shorter side, as when it is read for training."""

    def __init__(self, window: Window, side: int) -> None:
        super().__init__()
        self.window = window
        self.side = side
        crop = SquashCrop(*window)
        self.squashed, self.top, self.left = crop.squashed, crop.top, crop.left

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, 3, h, w) float32 from 0 to 255 for (B, H, W, 3) uint8 RGB."""
        y, x = (_positions(length, images.device) for length in images.shape[1:3])
        reduced_y, reduced_x = self._reduced_lengths(y, x)
        much = torch.minimum(_length(y) / reduced_y, _length(x) / reduced_x) > _SHRINKS_MUCH
        (height, width), top, left = self.window.size, self.top, self.left
        rest = torch.minimum(reduced_y / self.squashed[0], reduced_x / self.squashed[1]) > _SHRINKS_MUCH
        rows = _resize_matrix(y, reduced_y, self.squashed[0], (top, top + height), much, rest)
        columns = _resize_matrix(x, reduced_x, self.squashed[1], (left, left + width), much, rest)
        # (h, H) @ (B, H, W·3), then (B, 3, h, W) @ (W, w)
        mixed = rows @ images.flatten(2).float()
        resized = mixed.reshape(*mixed.shape[:2], -1, 3).permute(0, 3, 1, 2) @ columns.T
        return resized.round()  # whole numbers, as in training: some networks see the difference

    def _reduced_lengths(self, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the height and width that `data.images.reduced_size` does, as scalars."""
        height, width = _length(y), _length(x)
        shorter = torch.minimum(height, width)
        if not self.side:
            return height, width
        shrunk = (
            torch.where(shorter > self.side, (length * self.side / shorter).round().clamp(min=self.side), length)
            for length in (height, width)
        )
        return next(shrunk), next(shrunk)


def _resize_matrix(
    positions: Tensor, reduced: Tensor, target: int, part: tuple[int, int], much: Tensor, rest: Tensor
) -> Tensor:
    """Return the (h, H) matrix that resizes H pixels to `reduced` ones, these to `target`, of which it takes `part`.

    The first resize averages areas where `much` is true, else it samples bilinearly; so does the second by `rest`, but
    it then averages the H pixels themselves, which is nearly the same.
    """
    results = torch.arange(*part, device=positions.device, dtype=torch.float32)
    # A bilinear sample of the reduced image lies between two of its pixels, and each of these is a sum over the H.
    at = ((results + 0.5) * reduced / target - 0.5).clamp(min=0).minimum(reduced - 1)
    first = at.floor()
    second = (first + 1).minimum(reduced - 1)
    weight = (at - first)[:, None]
    sampled = _rows(first, positions, reduced, much) * (1 - weight) + _rows(second, positions, reduced, much) * weight
    return torch.where(rest, _areas(results, positions, torch.full_like(reduced, target)), sampled)


def _rows(pixels: Tensor, positions: Tensor, reduced: Tensor, much: Tensor) -> Tensor:
    return torch.where(much, _areas(pixels, positions, reduced), _tents(pixels, positions, reduced))


def _areas(pixels: Tensor, positions: Tensor, reduced: Tensor) -> Tensor:
    """Return (h, H) shares: how much of each of `pixels` of the reduced image each of the H covers."""
    scale = _length(positions) / reduced
    begin, end = (pixels * scale)[:, None], ((pixels + 1) * scale)[:, None]
    covered = torch.minimum(end, positions + 1) - torch.maximum(begin, positions)
    return covered.clamp(min=0) / scale


def _tents(pixels: Tensor, positions: Tensor, reduced: Tensor) -> Tensor:
    """Return the (h, H) weights of bilinear samples; the border repeats."""
    length = _length(positions)
    at = ((pixels + 0.5) * length / reduced - 0.5).clamp(min=0).minimum(length - 1)
    return (1 - (at[:, None] - positions).abs()).clamp(min=0)


def _positions(length: int, device: torch.device) -> Tensor:
    return torch.arange(length, device=device, dtype=torch.float32)


def _length(positions: Tensor) -> Tensor:
    # As a tensor: an exported program takes any length, and ONNX knows no arithmetic of sizes.
    return positions[-1] + 1
