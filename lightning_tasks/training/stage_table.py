"""A training's stages as text, for TensorBoard's page of texts."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 12  # letters of a curve: TensorBoard breaks words where a table is wide


class Stage(NamedTuple):
    """A part of a run in which the same parameters are trained."""

    name: str
    trained: str
    steps: range


def stages_table(
    stages: Sequence[Stage], steps_an_epoch: int, groups: Sequence[str], lrs: Callable[[int], Sequence[float]]
) -> str:
    """Return a Markdown table of stages: when, what is trained, the groups' highest rates, the last one's curve.

    Those without steps are left out. `groups` are G names of groups, `lrs` leads from a step to their G rates.
    """
    columns = ["stage", "epochs", "steps", "trained", *(f"highest lr/{group}" for group in groups), f"lr/{groups[-1]}"]
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    for stage in (stage for stage in stages if stage.steps):
        rates = [lrs(step) for step in stage.steps]
        highest = [f"{max(column):.2e}" for column in zip(*rates, strict=True)]
        first, last = stage.steps[0], stage.steps[-1]
        epochs = f"{first // steps_an_epoch}–{last // steps_an_epoch}"
        cells = [stage.name, epochs, f"{first}–{last}", stage.trained, *highest, curve([row[-1] for row in rates])]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def curve(values: Sequence[float]) -> str:
    """Return values of 0 or more as a row of bars, the highest one full: at most 12, evenly spaced."""
    n = min(_WIDTH, len(values))
    picked = [values[round(i * (len(values) - 1) / max(n - 1, 1))] for i in range(n)]
    return "".join(_BARS[round((len(_BARS) - 1) * value / (max(values) or 1))] for value in picked)
