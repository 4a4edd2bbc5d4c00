"""How far a score may be off for want of images: bias-corrected percentile intervals of the bootstrap.

A resample has as many images as the split, drawn with replacement. It is told by how often each image stands in it, so
that a score sorts its N images once for all resamples: `scipy.stats.bootstrap` would hand out copies of them, and has
neither groups nor a place for scores without a meaning. Where images belong to groups (people, say), whole groups are
drawn: images of one are alike, and tell less than as many of others would.

Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, section 14.3 (BCa, here without acceleration,
which takes as many scores again as there are images); of groups: Field and Welsh, "Bootstrapping clustered data", JRSS
B 69(3), 2007.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_tasks.errors import ConfigError

RESAMPLES = 1000
LEVEL = 0.95
FEW_GROUPS = 10  # fewer say little of the groups that there might have been
_COUNTS_AT_ONCE = 1_000_000  # of images by resamples: 4 MB

ResampledScores = Callable[[Tensor], Mapping[str, Tensor]]  # counts (N, R) → name → (R,), or (C, R) of C names


class Interval(NamedTuple):
    """A score, and between what it lies in the middle 95 of 100 resamples, say; NaN where it has no meaning."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Intervals:
    """The intervals of a split's scores, and of what they were drawn."""

    level: float
    n_units: int
    unit: str  # image or group
    scores: dict[str, Interval]
    each: dict[str, list[Interval]]  # of scores that each of the outputs has

    def lines(self) -> list[str]:
        """Return what there is to say of them."""
        units = f"{self.n_units:,} {self.unit}{'s' * (self.n_units != 1)}"
        lines = [f"{100 * self.level:g} % intervals, of {RESAMPLES:,} bootstrap resamples of the {units}."]
        if self.n_units == 1:
            lines.append(f"A single {self.unit} tells nothing of others: there are no intervals.")
        elif self.unit == "group" and self.n_units < FEW_GROUPS:
            lines.append(f"Only {units}: intervals of so few are too narrow, and say little of other groups.")
        return lines


def check_level(level: float) -> float:
    """Return the share of resamples that an interval holds; ConfigError: it is not between 0 and 1."""
    if 0 < level < 1:
        return level
    instead = f" Write {level / 100:g}." if 1 < level < 100 else ""
    raise ConfigError(f"--ci is {level:g}; it is a share between 0 and 1, such as {LEVEL}.{instead}")


def resample_counts(n: int, groups: Sequence[str] = (), resamples: int = RESAMPLES, seed: int = 0) -> Iterator[Tensor]:
    """Yield how often each of N images stands in each of some resamples, (N, R) float32, until there are enough.

    Args:
        n: the number of images, N.
        groups: N names, whose images are drawn together; or none.
        resamples: how many in all.
        seed: of the draw, which is the same for the same number of images, or the same groups.
    """
    names = {name: i for i, name in enumerate(dict.fromkeys(groups))}
    units = len(names) or n
    unit_of_image = torch.tensor([names[name] for name in groups])
    generator = torch.Generator().manual_seed(seed)
    at_once = max(1, _COUNTS_AT_ONCE // max(n, 1))
    for begin in range(0, resamples, at_once):
        columns = min(at_once, resamples - begin)
        drawn = torch.randint(units, (columns, units), generator=generator) + units * torch.arange(columns)[:, None]
        counts = drawn.flatten().bincount(minlength=columns * units).view(columns, units).T.float().contiguous()
        yield counts[unit_of_image] if names else counts


def bootstrap(
    scores: ResampledScores, n: int, groups: Sequence[str] = (), resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Tensor]:
    """Return each score of each resample, (R,) or (C, R) float64, by its name; see `resample_counts`."""
    parts = [scores(counts) for counts in resample_counts(n, groups, resamples, seed)]
    return {name: torch.cat([part[name].double() for part in parts], -1) for name in parts[0]}


def interval(value: float, resampled: Tensor, level: float = LEVEL) -> Interval:
    """Return the interval of a score from its resamples (R,); those in which it has no meaning (NaN) are left out.

    Bias-corrected: a score of few images may lie higher in its resamples than in the images, or lower, as average
    precision does. By the share of resamples below it both ends are moved.
    """
    known = resampled[~resampled.isnan()].double()
    if not len(known) or value != value:
        return Interval(value, torch.nan, torch.nan)
    near = torch.isclose(known, torch.tensor(value, dtype=torch.float64), rtol=1e-9, atol=1e-12)  # equal, but for sums
    below = ((known < value) & ~near).double().mean() + near.double().mean() / 2
    bias = torch.special.ndtri(below.clamp(1 / (2 * len(known)), 1 - 1 / (2 * len(known))))
    ends = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)
    low, high = known.quantile(torch.special.ndtr(2 * bias + torch.special.ndtri(ends))).tolist()
    return Interval(value, low, high)


def intervals_of(
    scores: ResampledScores, n: int, groups: Sequence[str] = (), level: float = LEVEL, seed: int = 0
) -> Intervals:
    """Return the intervals of all scores of N images; see `resample_counts`. ConfigError: see `check_level`."""
    check_level(level)
    n_units = len(set(groups)) or n
    values = scores(torch.ones(n, 1))
    # A single unit is in each resample as it is: that it varies by nothing means nothing.
    resampled = bootstrap(scores, n, groups, RESAMPLES if n_units > 1 else 1, seed)
    if n_units == 1:
        resampled = {name: torch.full_like(found, torch.nan) for name, found in resampled.items()}
    of_all: dict[str, Interval] = {}
    of_each: dict[str, list[Interval]] = {}
    for name, value in values.items():
        if value.ndim == 1:
            of_all[name] = interval(float(value), resampled[name], level)
        else:
            pairs = zip(value[:, 0].tolist(), resampled[name], strict=True)
            of_each[name] = [interval(one, found, level) for one, found in pairs]
    return Intervals(level, n_units, "group" if groups else "image", of_all, of_each)
