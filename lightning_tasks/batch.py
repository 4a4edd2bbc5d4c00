"""What travels from the data to the tasks. Both folders know these types and nothing else of each other."""

from typing import NamedTuple

from torch import Tensor

IGNORED = -1  # a target that counts neither in the loss nor in the metrics


class MultiLabelBatch(NamedTuple):
    """Images with any number of labels each."""

    images: Tensor  # (B, 3, H, W) uint8 RGB, channels_last in memory
    targets: Tensor  # (B, C) float32, 1 where the image has the label; IGNORED: the cell does not count
    rows: Tensor  # (B,) int64, which samples of the data set they are


class KeypointBatch(NamedTuple):
    """Images with P points each."""

    images: Tensor  # (B, 3, H, W) uint8 RGB, channels_last in memory
    points_norm: Tensor  # (B, P, 2) float32, x and y on the −1..1 scale of the image; 0 where not visible
    visible: Tensor  # (B, P) bool, False where not annotated, and in training where outside the image
    original_size_px: Tensor  # (B, 2) float32, width and height of the image on disk
    rows: Tensor  # (B,) int64, which samples of the data set they are


Batch = MultiLabelBatch | KeypointBatch


class Planned(NamedTuple):
    """What is to be done on the device to the images of a batch, which lie there already."""

    slots: Tensor  # (B,) int64, where the images are
    to_source: Tensor  # (B, 3, 3) float32, homographies from the result's pixels to the images'
    brightness: Tensor  # (B,) float32
    contrast: Tensor  # (B,) float32


class PlannedBatch(NamedTuple):
    """A batch on its way to the device, without its images."""

    planned: Planned
    batch: Batch  # with no images yet
