"""Pure numbers: what a learning-rate finder's curve suggests. Imports nothing of ours but the errors.

Source: fastai's `lr_find`; each function returns the learning rate that fastai's function of the same name does.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lightning_tasks.errors import ConfigError

_SLIDE_WINDOW = 15
_SLIDE_FLAT = 0.005
_LAST_LEFT_OUT = 5  # where the loss runs away

Curve = NDArray[np.float64]


class Suggestions(NamedTuple):
    """Learning rates by four rules."""

    valley: float
    slide: float
    minimum: float
    steep: float


def check_steps(steps: int) -> None:
    """Raise ConfigError unless a whole sweep of `steps` leaves enough points to suggest from."""
    fewest = next(n for n in range(100) if n - n // 10 - _LAST_LEFT_OUT > _SLIDE_WINDOW)
    if steps < fewest:
        raise ConfigError(f"The learning-rate finder's steps are {steps}; it needs at least {fewest}.")


def suggest(lrs: ArrayLike, losses: ArrayLike, steps: int) -> Suggestions:
    """Return the four suggestions for a sweep that was to have `steps` steps and may have ended earlier.

    Of (n,) rising rates and their (n,) smoothed losses the first tenth of the steps and the last five points are left
    out, and all from the first NaN on.

    Raises:
        ConfigError: too little of the curve is left.
    """
    window = slice(steps // 10, -_LAST_LEFT_OUT)
    rates, curve = np.asarray(lrs, dtype=np.float64)[window], np.asarray(losses, dtype=np.float64)[window]
    nan = np.isnan(curve)
    if nan.any():
        rates, curve = rates[: nan.argmax()], curve[: nan.argmax()]
    if len(curve) <= _SLIDE_WINDOW:
        end = steps // 10 + len(curve) if nan.any() else len(np.asarray(lrs)) - 1
        raise ConfigError(
            f"The learning-rate finder's loss {'was NaN' if nan.any() else 'ran away'} at step {end} of {steps}, at a "
            f"rate of {np.asarray(lrs)[end]:.1e}: too early to suggest one. Start lower, or take more steps."
        )
    return Suggestions(valley(rates, curve), slide(rates, curve), minimum(rates, curve), steep(rates, curve))


def valley(lrs: Curve, losses: Curve) -> float:
    """Return the rate halfway down the longest fall: two thirds of its length from its end, roughly.

    The longest fall is the longest falling subsequence, counted as if its points were neighbours.
    """
    length = np.ones(len(losses), dtype=np.int64)  # of the longest falling subsequence that ends here
    for i in range(1, len(losses)):
        length[i] += length[:i][losses[:i] > losses[i]].max(initial=0)
    end = int(length.argmax())
    start = end - int(length[end]) if length[end] > 1 else 0
    third = (end - start) / 3
    return float(lrs[start + int(third) + int(third / 2)])


def slide(lrs: Curve, losses: Curve) -> float:
    """Return the left edge of a window that slides left from the right end until the slopes at its edges agree."""
    slopes = np.gradient(losses)
    differ = np.abs(slopes[_SLIDE_WINDOW:] - slopes[:-_SLIDE_WINDOW]) > _SLIDE_FLAT  # by the window's left edge
    agreeing = np.flatnonzero(~differ)
    last = agreeing[-1] if len(agreeing) else -1
    return float(lrs[min(last + 1, len(differ) - 1)])


def minimum(lrs: Curve, losses: Curve) -> float:
    """Return a tenth of the rate with the lowest loss."""
    return float(lrs[losses.argmin()]) / 10


def steep(lrs: Curve, losses: Curve) -> float:
    """Return the rate where the loss falls fastest over the logarithm of the rate."""
    return float(lrs[(np.diff(losses) / np.diff(np.log(lrs))).argmin()])
