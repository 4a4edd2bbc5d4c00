"""Pure numbers: how learning rate and momentum move over a run. Imports nothing else of ours.

Source: fastai's `fit_one_cycle` (after Smith, "Super-Convergence", 2018). torch's OneCycleLR runs differently.
"""

import math
from typing import NamedTuple


class Rate(NamedTuple):
    """What the optimiser uses for one step."""

    lr_factor: float  # times a group's highest learning rate
    momentum: float


def one_cycle(
    step: int,
    total_steps: int,
    pct_start: float = 0.25,
    div: float = 25.0,
    div_final: float = 1e5,
    momentums: tuple[float, float, float] = (0.95, 0.85, 0.95),
) -> Rate:
    """Return the rate for batch `step` of `total_steps`, counted from 0.

    The learning rate goes from 1/div up to 1 in the first `pct_start` of the batches, then down to 1/div_final, both
    along half a cosine; the momentum goes through `momentums` the other way.
    """
    position = step / total_steps
    if position < pct_start:
        part = position / pct_start
        return Rate(_cosine(1 / div, 1.0, part), _cosine(momentums[0], momentums[1], part))
    part = (position - pct_start) / (1 - pct_start)
    return Rate(_cosine(1.0, 1 / div_final, part), _cosine(momentums[1], momentums[2], part))


def _cosine(start: float, end: float, part: float) -> float:
    return start + (1 + math.cos(math.pi * (1 - part))) * (end - start) / 2
