"""Images of more than 8 bits: which of their values is white, and from there to 8 bits, by one rule at every door."""

import mmap
import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightning_tasks.errors import ConfigError, ImageError, LightningTasksWarning, UnknownValuesError

Image = NDArray[np.uint8]  # (H, W, 3) RGB

FULL = 65_535  # white in 16 bits, unless it is said to be another value
FEW = 2**14  # with no value from here on, 16 bits are likely 14 or fewer that were not scaled
_MOST = 2**31 - 1
_BYTE = 256
_dark_told, _clipped_told = mmap.mmap(-1, 1), mmap.mmap(-1, 1)  # 1 once it was said; forked processes share it


class Values(NamedTuple):
    """An image as it is stored, upright."""

    array: NDArray[Any]  # (H, W, 3) uint8; of more than 8 bits (H, W) or (H, W, 3)
    white: int | None = None  # of these values, where the file itself says so
    is_inverted: bool = False  # white is 0, and what stands for white is black
    lost: bool = False  # what lies below its upper 8 bits, or its own white, can no longer be known


def check_white_level(white_level: int | None, option: str) -> int | None:
    """Return it; raise ConfigError where no value can be that."""
    if white_level is not None and not 1 <= white_level <= _MOST:
        what = "the value of white in images of more than 8 bits: 4095 where 12 bits are used, 65535 where all 16 are"
        raise ConfigError(f"{option} is {white_level:,}; it is {what}.")
    return white_level


def describe_white(white_level: int | None) -> list[str]:
    """Return a line about images of more than 8 bits, where there are any or white was given."""
    return [] if white_level is None else [f"white is {white_level:,} in images of more than 8 bits (data.white_level)"]


def in_8_bits(values: Values, white_level: int | None, name: str) -> Image:
    """Return an image as (H, W, 3) uint8, of whose 256 levels white is the last; 8 bits stay as they are.

    White of more than 8 bits is what the file says, else `white_level`, else 65,535 of 16 bits; of others nothing says
    it, which raises UnknownValuesError.
    """
    array, white = values.array, values.white
    if values.lost and white_level not in (None, FULL):
        raise bits_lost(name)
    if array.dtype != np.uint8 or white is not None:
        array = _scale(array, white, white_level, name)
    if values.is_inverted:
        array = (_BYTE - 1) - array
    if array.ndim == 2:
        array = np.repeat(array[:, :, None], 3, axis=2)
    return np.ascontiguousarray(array, dtype=np.uint8)


def brightest(values: Values) -> int | None:
    """Return the largest of 16 bits that are white where nobody has said; None: it is not such an image."""
    if values.array.dtype != np.uint16 or values.white is not None or values.lost:
        return None
    return int(values.array.max(initial=0))


def likely_white(largest: int) -> int:
    """Return which value is white where none is above `largest`: all bits of 8, 10, 12, 14 or 16."""
    return next(2**bits - 1 for bits in (8, 10, 12, 14, 16) if largest < 2**bits)


def unknown_values(kind: str) -> str:
    """Return what to do with values of which nothing says which is white."""
    return (
        f"its values may mean anything ({kind}): nothing says which is white. Say it (data.white_level; of predict: "
        "--white_level), or scale them to 0..255 and make them uint8 (8 bits), or to 0..65535 and uint16 (16 bits)."
    )


def bits_lost(name: str) -> ImageError:
    """Return an error that says what to do."""
    return UnknownValuesError(
        f"{name}: of its 16 bits the upper 8 alone can be had here, and white is not 65535 (white_level). Take the "
        "file itself, as PNG or TIFF, grey or RGB; or an array."
    )


def channels_unread(name: str, n: int) -> ImageError:
    """Return an error that says what to do."""
    return ImageError(
        f"{name}: has {n} channels that are not colours and transparency alone, as of other wavelengths. An image has "
        "one (grey) or three (RGB), and perhaps transparency: write three of them as RGB (PhotometricInterpretation 2; "
        "of tifffile: an array (H, W, 3), photometric='rgb')."
    )


def planes_unread(name: str) -> ImageError:
    """Return an error that says what to do."""
    return ImageError(
        f"{name}: its colours have more than 8 bits and lie in a plane each, which is not read. Write it with the "
        "colours of each pixel together (PlanarConfiguration 1; of tifffile: an array (H, W, 3))."
    )


def _scale(array: NDArray[Any], own_white: int | None, white_level: int | None, name: str) -> NDArray[Any]:
    white = own_white or white_level
    largest = array.max(initial=0)
    if white is None:
        white = _white_of_16_bits(array, int(largest) if array.dtype == np.uint16 else 0, name)
    elif largest > white:
        warn_once(
            _clipped_told,
            f"{name} has values above {white:,}, which is white (data.white_level), up to {largest:g}: they are shown "
            "as white, here and in all others like it.",
        )
    if array.dtype == np.uint16 and white == FULL:
        return np.asarray(array >> 8, dtype=np.uint8)
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise UnknownValuesError(f"{name}: holds values that are no numbers (NaN). Replace them.")
    if array.dtype.kind == "f" or white < _BYTE - 1:
        return np.asarray(np.rint(np.clip(array / white, 0, 1) * (_BYTE - 1)), dtype=np.uint8)
    return np.asarray(np.clip(array, 0, white).astype(np.int64) * _BYTE // (white + 1), dtype=np.uint8)


def _white_of_16_bits(array: NDArray[Any], largest: int, name: str) -> int:
    if array.dtype != np.uint16:
        raise UnknownValuesError(f"{name}: {unknown_values(str(array.dtype))}")
    if 0 < largest < _BYTE:
        raise UnknownValuesError(f"{name}: {unknown_values(f'16 bits, of which none is above {largest} of 65535')}")
    if 0 < largest < FEW:
        warn_once(
            _dark_told,
            f"{name} has 16 bits, and no value above {largest:,} of 65,535: it is dark, or white is "
            f"{likely_white(largest):,}, which must then be said (data.white_level; --white_level of predict and "
            "serve). So are others like it.",
        )
    return FULL


def warn_once(told: mmap.mmap, message: str) -> None:
    """Warn, unless some process that shares `told` has done so; its one byte says that."""
    if not told[0]:
        told[0] = 1
        warnings.warn(message, LightningTasksWarning, stacklevel=2)
