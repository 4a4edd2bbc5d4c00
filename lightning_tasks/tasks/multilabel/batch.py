"""A batch of images with labels."""

from typing import NamedTuple

from torch import Tensor

IGNORED = -1  # a target that counts neither in the loss nor in the metrics


class MultiLabelBatch(NamedTuple):
    """Images with any number of labels each."""

    images: Tensor  # (B, 3, H, W) uint8 RGB, channels_last in memory
    targets: Tensor  # (B, C) float32, 1 where the image has the label; IGNORED: the cell does not count
    rows: Tensor  # (B,) int64, which samples of the data set they are
