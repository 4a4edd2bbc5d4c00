"""What is wrong with the numbers of a table as a whole."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lightning_tasks.data.tables.csv_table import cell_at
from lightning_tasks.data.tables.splits import Rows
from lightning_tasks.data.tables.table_checks import Problem

_NARROW = 1e-4  # of the largest number: float32 has seven digits
_FAR = 10  # interquartile ranges beyond the quartiles; of a normal distribution no number is so far off


def find_value_problems(
    source: Path, names: Sequence[str], values: NDArray[np.float64], splits: Mapping[str, Rows]
) -> list[Problem]:
    """Return what is wrong: targets that nothing is known of, those that are always the same, and outliers.

    Args:
        source: the table's file.
        names: of the T targets.
        values: (N, T), NaN where unknown.
        splits: a split's name → its rows; the first is the one that is learnt from.
    """
    problems = []
    learnt = next(iter(splits))
    for name, column in zip(names, values.T, strict=True):
        for split, rows in splits.items():
            if len(rows) and np.isnan(column[rows]).all():
                message = f"{source}: column {name!r}: no row for {split} has a number."
                way_out = "Fill it, or leave it out of data.targets."
                problems.append(Problem("unknown", message, is_error=split == "training", way_out=way_out))
        known = column[splits[learnt]]
        known = known[~np.isnan(known)]
        if len(known) > 1 and np.ptp(known) == 0:
            message = f"{source}: column {name!r}: all {len(known):,} numbers for {learnt} are {known[0]:g}."
            problems.append(Problem("constant", message, way_out="There is nothing to learn: leave it out."))
        elif len(known) > 1 and np.ptp(known) < _NARROW * np.abs(known).max():
            span = f"{known.min():.17g} to {known.max():.17g}"
            message = f"{source}: column {name!r}: the numbers for {learnt} lie from {span}."
            way_out = "Images are learnt in float32, which cannot tell them apart: subtract the lowest."
            problems.append(Problem("narrow", message, is_error=True, way_out=way_out))
        problems += _outliers(source, name, column, np.concatenate([*splits.values()]))
    return problems


def _outliers(source: Path, name: str, column: NDArray[np.float64], rows: Rows) -> list[Problem]:
    """Return the numbers that lie ten interquartile ranges beyond the quartiles of these rows, each a doubt."""
    known = rows[~np.isnan(column[rows])]
    if not len(known):
        return []
    lower, median, upper = np.quantile(column[known], [0.25, 0.5, 0.75])
    reach = _FAR * (upper - lower)
    if not reach:
        return []
    far = known[(column[known] < lower - reach) | (column[known] > upper + reach)]
    way_out = "If it is a slip of the pen, such as another unit, correct it."
    return [
        Problem(
            "outlier",
            f"{cell_at(source, int(row), name)}: {column[row]:g}, where half of all lie from {lower:g} to {upper:g} "
            f"around {median:g}.",
            int(row),
            way_out=way_out,
            keep_row=True,
        )
        for row in np.sort(far)
    ]
