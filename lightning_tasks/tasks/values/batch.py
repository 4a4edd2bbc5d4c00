"""What travels from the data to the model."""

from typing import NamedTuple

from torch import Tensor


class ValueBatch(NamedTuple):
    """Images with T numbers each."""

    images: Tensor  # (B, 3, H, W) uint8 RGB, channels_last in memory
    targets: Tensor  # (B, T) float32 in the targets' units, NaN where unknown
    rows: Tensor  # (B,) int64, which samples of the data set they are
