"""How two models' scores differ on the same images: paired bootstrap, and a page of the images that show it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightning_tasks.reports.bootstrap import (
    LEVEL,
    RESAMPLES,
    Interval,
    Intervals,
    ResampledScores,
    bootstrap,
    check_level,
    interval,
)


class Difference(NamedTuple):
    """A score of both models, and what the second has more; NaN where it has no meaning."""

    a: float
    b: float
    more: Interval  # b − a
    b_better: float  # the share of the resamples in which b is the better one; where they are equal, half counts

    @property
    def is_sure(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.more.low > 0 or self.more.high < 0


@dataclass(frozen=True)
class Comparison:
    """The differences of all scores, and of what was drawn for their intervals."""

    drawn: Intervals  # without any
    scores: dict[str, Difference]
    each: dict[str, list[Difference]]  # of scores that each of the outputs has

    def table(self) -> list[str]:
        """Return the scores as lines for a terminal."""
        width = max(map(len, self.scores))
        head = "  ".join(f"{name:>9}" for name in ("A", "B", "B − A", "from", "to", "B better"))
        rows = [f"{name:<{width}}  {_cells(found)}" for name, found in self.scores.items()]
        return [f"{'':<{width}}  {head}", *rows, *self.drawn.lines()]


class Shown(NamedTuple):
    """An image that both models predict: a card for each, and how much higher A's loss is."""

    a: Any
    b: Any
    more_loss: float


def compare_scores(
    a: ResampledScores,
    b: ResampledScores,
    n: int,
    groups: Sequence[str] = (),
    level: float = LEVEL,
    lower_is_better: tuple[str, ...] = (),
    seed: int = 0,
) -> Comparison:
    """Return how the scores of two models differ on the same N images, each resample being one of both.

    Args:
        a: the first one's scores of resamples; see `bootstrap`.
        b: the second one's, by the same names and with the outputs in the same order.
        n: N.
        groups: N names, whose images are drawn together; or none.
        level: of the intervals.
        lower_is_better: how the names of scores begin of which the lower is the better.
        seed: of the draw.

    Raises:
        ConfigError: see `check_level`.
    """
    check_level(level)
    units = len(set(groups)) or n
    values = [scores(torch.ones(n, 1)) for scores in (a, b)]
    # The same seed draws the same images for both.
    resampled = [bootstrap(scores, n, groups, RESAMPLES if units > 1 else 1, seed) for scores in (a, b)]
    scores: dict[str, Difference] = {}
    each: dict[str, list[Difference]] = {}
    for name in values[0]:
        sign = -1 if name.startswith(lower_is_better) else 1
        a_values, b_values = (of[name].double().flatten().tolist() for of in values)  # of 1 score, or of C
        more = (resampled[1][name] - resampled[0][name]).reshape(len(a_values), -1)
        if units == 1:
            more = torch.full_like(more, torch.nan)  # that it varies by nothing means nothing
        found = [_difference(*of, sign, level) for of in zip(a_values, b_values, more, strict=True)]
        if values[0][name].ndim == 1:
            scores[name] = found[0]
        else:
            each[name] = found
    return Comparison(Intervals(level, units, "group" if groups else "image", {}, {}), scores, each)


def rows_that_differ(losses_a: Tensor, losses_b: Tensor, n: int) -> tuple[list[int], list[int]]:
    """Return the rows, at most n each, in which A's loss is higher than B's by most, and B's than A's."""
    more = (losses_a - losses_b).double()
    order = more.nan_to_num(0).argsort(descending=True, stable=True).tolist()
    return [row for row in order[:n] if more[row] > 0], [row for row in order[::-1][:n] if more[row] < 0]


def _difference(a: float, b: float, more: Tensor, sign: int, level: float) -> Difference:
    """Return the difference of two scores, of whose resamples it is (R,); `sign`: 1 where the higher is better."""
    known = more[~more.isnan()] * sign
    better = ((known > 0).double() + (known == 0).double() / 2).mean() if len(known) else torch.tensor(torch.nan)
    return Difference(a, b, interval(b - a, more, level), float(better))


def _cells(found: Difference) -> str:
    cells = [
        f"{found.a:.4f}",
        f"{found.b:.4f}",
        *(f"{end:+.4f}" for end in found.more),
        f"{100 * found.b_better:.1f} %",
    ]
    return "  ".join(f"{'–' if 'nan' in cell else cell:>9}" for cell in cells)
