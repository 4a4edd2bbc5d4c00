"""A batch of images with points."""

from typing import NamedTuple

from torch import Tensor


class KeypointBatch(NamedTuple):
    """Images with P points each."""

    images: Tensor  # (B, 3, H, W) uint8 RGB, channels_last in memory
    points_norm: Tensor  # (B, P, 2) float32, x and y on the −1..1 scale of the image; 0 where not visible
    visible: Tensor  # (B, P) bool, False where not annotated, and in training where outside the image
    original_size_px: Tensor  # (B, 2) float32, width and height of the image on disk
    rows: Tensor  # (B,) int64, which samples of the data set they are
