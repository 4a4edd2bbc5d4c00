"""fastai's default transforms on the device that trains, with the whole decoded data set in its memory."""

import numpy as np
import torch
from torch import Tensor

from lightning_tasks.batch import Planned
from lightning_tasks.data.images.cache import DecodedCache
from lightning_tasks.data.images.decode import Size
from lightning_tasks.errors import ConfigError

_COPIED_AT_ONCE = 1 << 28  # bytes
_TINY = 1e-7


class DeviceImages:
    """All images of a cache in a device's memory; geometry and lighting are done there, in one interpolation.

    What comes out differs from the CPU's transforms by the rounding of OpenCV's fixed-point interpolation.

    A transform to `size` at most halves the images of `cache`. Raises ConfigError where `device` has not enough memory.
    """

    def __init__(self, cache: DecodedCache, device: torch.device, size: Size) -> None:
        self.size = size
        try:
            self.pixels = torch.empty(len(cache.pixels), dtype=torch.uint8, device=device)
        except torch.OutOfMemoryError as error:
            raise ConfigError(
                f"data.device_cache: {len(cache.pixels) / 1e9:.2f} GB of images do not fit into the memory of "
                f"{device}. Lower data.decode_side, or leave device_cache out."
            ) from error
        for begin in range(0, len(cache.pixels), _COPIED_AT_ONCE):
            part = np.array(cache.pixels[begin : begin + _COPIED_AT_ONCE])
            self.pixels[begin : begin + len(part)] = torch.from_numpy(part)
        self.offsets = torch.from_numpy(cache.index["offset"].astype(np.int64)).to(device)
        self.sizes = torch.from_numpy(cache.index["size"].astype(np.int64)).to(device)
        rows, columns = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
        self.grid = torch.stack([columns, rows, torch.ones_like(rows)]).flatten(1).float().to(device)  # (3, H·W)

    def render(self, planned: Planned) -> Tensor:
        """Return (B, 3, H, W) uint8, channels_last: what the CPU would have sent."""
        source = planned.to_source @ self.grid  # (B, 3, H·W)
        x, y = source[:, 0] / source[:, 2], source[:, 1] / source[:, 2]
        left, top = x.floor(), y.floor()
        right_share, lower_share = x - left, y - top
        columns, rows = left.long(), top.long()
        pixels = torch.zeros(*x.shape, 3, device=x.device)
        for dy, vertical in ((0, 1 - lower_share), (1, lower_share)):
            for dx, horizontal in ((0, 1 - right_share), (1, right_share)):
                pixels += self._gather(planned.slots, rows + dy, columns + dx) * (vertical * horizontal)[..., None]
        lighted = _apply_lighting(pixels / 255, planned.brightness[:, None, None], planned.contrast[:, None, None])
        images = (lighted * 255).round().to(torch.uint8).view(len(x), *self.size, 3)
        return images.permute(0, 3, 1, 2)

    def _gather(self, slots: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Return the pixels (B, n, 3) at rows and columns (B, n) of the images, reflected at the borders."""
        height, width = (self.sizes[slots, axis][:, None] for axis in (0, 1))
        first = self.offsets[slots][:, None] + 3 * (
            _reflect_index(rows, height) * width + _reflect_index(columns, width)
        )
        return self.pixels[first[..., None] + torch.arange(3, device=first.device)].float()


def _reflect_index(position: Tensor, length: Tensor) -> Tensor:
    """Return positions within 0..length − 1, the outer ones mirrored about the centre of the last pixel."""
    period = (2 * (length - 1)).clamp(min=1)
    within = position.abs() % period
    return torch.minimum(within, period - within).clamp(max=length - 1)


def _apply_lighting(pixels: Tensor, brightness: Tensor, contrast: Tensor) -> Tensor:
    """Return pixels from 0 to 1 with brightness and contrast on the logit scale, as `LogitLighting` has it."""
    return torch.sigmoid((torch.logit(pixels.clamp(_TINY, 1 - _TINY)) + brightness) * contrast)
