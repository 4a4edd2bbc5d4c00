"""What every batch has, whatever its task; and a batch whose images the device that trains is still to make."""

from typing import NamedTuple, Protocol, Self

from torch import Tensor


class Batch(Protocol):
    """Images and, in a task's own NamedTuple, what is annotated of them."""

    @property
    def images(self) -> Tensor:
        """(B, 3, H, W) uint8 RGB, channels_last in memory."""

    @property
    def rows(self) -> Tensor:
        """(B,) int64, which samples of the data set they are."""

    def _replace(self, *, images: Tensor) -> Self: ...


class TargetBatch(NamedTuple):
    """Images with a row of numbers each."""

    images: Tensor  # (B, 3, H, W) uint8 RGB, channels_last in memory
    targets: Tensor  # (B, T) float32, as the task defines them
    rows: Tensor  # (B,) int64, which samples of the data set they are


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
