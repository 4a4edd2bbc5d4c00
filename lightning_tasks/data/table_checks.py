"""What is wrong with a table as a whole: one set of checks, which `fit`, `prepare` and `check` all ask. No pixels."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from lightning_tasks.errors import LightningTasksWarning, TableError

_LISTED = 3


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong."""

    kind: str
    message: str  # where, what, and what to do
    row: int | None = None  # of the table, from 0; None: of the data set as a whole, not of a row to leave out
    is_error: bool = False  # it makes numbers wrong: `fit` stops. Else a doubt, which is told


def raise_or_warn(problems: Sequence[Problem]) -> None:
    """Raise what makes numbers wrong; warn of each doubt in a line.

    Raises:
        TableError: some of the problems are errors; tells the first ones and how many there are.
    """
    errors = [problem.message for problem in problems if problem.is_error]
    if errors:
        more = f" And {len(errors) - _LISTED:,} more: `lightning-tasks check` lists all." * (len(errors) > _LISTED)
        raise TableError(" ".join(errors[:_LISTED]) + more)
    for problem in problems:
        warnings.warn(problem.message, LightningTasksWarning, stacklevel=2)
