"""Pure numbers: how learning rate and momentum move over a run. Imports nothing else of ours.

Source: fastai's `fit_one_cycle` (after Smith, "Super-Convergence", 2018). torch's OneCycleLR runs differently.
"""

import math
from typing import NamedTuple


class Rate(NamedTuple):
    """What the optimiser uses for one step."""

    lr_factor: float  # times a group's highest learning rate
    momentum: float


class GroupRates(NamedTuple):
    """Likewise in a fine-tuning."""

    lrs: tuple[float, ...]  # from the earliest group to the head
    momentum: float


def one_cycle(
    position: float,
    pct_start: float = 0.25,
    div: float = 25.0,
    div_final: float = 1e5,
    momentums: tuple[float, float, float] = (0.95, 0.85, 0.95),
) -> Rate:
    """Return the rate where a share of `position` of the cycle is behind: step / steps; beyond 1, that of the end.

    The learning rate goes from 1/div up to 1 in the first `pct_start` of the cycle, then down to 1/div_final, both
    along half a cosine; the momentum goes through `momentums` the other way.
    """
    position = min(position, 1.0)
    if position < pct_start:
        part = position / pct_start
        return Rate(_cosine(1 / div, 1.0, part), _cosine(momentums[0], momentums[1], part))
    part = (position - pct_start) / (1 - pct_start)
    return Rate(_cosine(1.0, 1 / div_final, part), _cosine(momentums[1], momentums[2], part))


def fine_tune(
    frozen: bool,
    position: float,
    base_lr: float = 2e-3,
    lr_mult: float = 100.0,
    pct_start: float = 0.3,
    freeze_pct_start: float = 0.99,
    div: float = 5.0,
    groups: int = 3,
) -> GroupRates:
    """Return the rates where a share of `position` of the stage is behind, in which the body is frozen or not.

    As fastai's `fine_tune`. Frozen: one cycle that peaks at its end (at `freeze_pct_start` of it), the head at
    `base_lr`, the body (its normalisation layers) at a tenth of it. Then another, at half the base: the groups spaced
    in equal ratios from the base over `lr_mult` to the base.
    """
    if frozen:
        rate = one_cycle(position, pct_start=freeze_pct_start)
        highest = [base_lr / 10] * (groups - 1) + [base_lr]
    else:
        rate = one_cycle(position, pct_start=pct_start, div=div)
        highest = [base_lr / 2 / lr_mult ** ((groups - 1 - group) / (groups - 1)) for group in range(groups)]
    return GroupRates(tuple(lr * rate.lr_factor for lr in highest), rate.momentum)


def fine_tune_stages(
    position: float,
    stages: int,
    base_lr: float,
    stage_decay: float,
    head_factor: float = 1.0,
    pct_start: float = 0.3,
    div: float = 5.0,
) -> GroupRates:
    """Return the rates of so many stages of the body, and of the head, when a share of `position` is behind.

    One cycle, in which the last stage's highest rate is `base_lr * stage_decay`, that of each before it `stage_decay`
    times the next one's, and the head's `base_lr * head_factor`.

    Source: Howard, Ruder, "Universal Language Model Fine-tuning for Text Classification", 2018, section 3.2.
    """
    rate = one_cycle(position, pct_start=pct_start, div=div)
    body = [base_lr * stage_decay ** (stages - stage) for stage in range(stages)]
    return GroupRates(tuple(lr * rate.lr_factor for lr in (*body, base_lr * head_factor)), rate.momentum)


def _cosine(start: float, end: float, part: float) -> float:
    return start + (1 + math.cos(math.pi * (1 - part))) * (end - start) / 2
