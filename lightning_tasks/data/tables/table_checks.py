"""What is wrong with a table as a whole: one set of checks, which `fit`, `prepare` and `check` all ask. No pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pytorch_lightning.utilities import rank_zero_warn

from lightning_tasks.data.tables.csv_table import cell_at, first_row, quote
from lightning_tasks.data.tables.file_checks import LocatedTable, respelt_line
from lightning_tasks.data.tables.splits import FILE, Rows
from lightning_tasks.errors import LightningTasksWarning, TableError

OF_TRAINING = ("few",)  # kinds of doubt that matter only where something trains
_LISTED = 3


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong."""

    kind: str
    message: str  # where and what; and what to do, unless that is the same for all of the kind
    row: int | None = None  # of the table, from 0; None: of the data set as a whole, not of a row to leave out
    is_error: bool = False  # it makes numbers wrong: `fit` stops. Else a doubt, which is told
    way_out: str = ""  # what to do, where that is the same for all of the kind: it is said once
    keep_row: bool = False  # leaving the row out would put nothing right: only a person can


def raise_or_warn(problems: Sequence[Problem]) -> None:
    """Raise what makes numbers wrong; warn, once and in a line, of each kind of doubt.

    Raises:
        TableError: some of the problems are errors; tells the first ones and how many there are.
    """
    errors = [problem for problem in problems if problem.is_error]
    if errors:
        raise TableError(_in_one_line(errors))
    for kind in dict.fromkeys(problem.kind for problem in problems):
        alike = [problem for problem in problems if problem.kind == kind]
        rank_zero_warn(_in_one_line(alike), category=LightningTasksWarning, stacklevel=3)


def _in_one_line(problems: Sequence[Problem]) -> str:
    listed, n = problems[:_LISTED], len(problems) - _LISTED
    more = [f"And {n:,} more: `lightning-tasks check` lists all."] if n > 0 else []
    ways = dict.fromkeys(problem.way_out for problem in listed if problem.way_out)
    return " ".join([*(f"{problem.message.removesuffix('.')}." for problem in listed), *more, *ways])


def same_image(
    table: pd.DataFrame, train: Rows, valid: Rows, source: Path, columns: Sequence[str], way_out: str
) -> list[Problem]:
    """Return the rows whose image stands in another row before: in training, or else above.

    Rows that differ in what they say of the image deny each other, and rows on both sides of the split are no test:
    errors. One that says the same, on the same side, counts twice: a doubt.

    Args:
        table: with the column FILE.
        train: its rows for training.
        valid: and for validation.
        source: the table's file.
        columns: that say something of the image; the table need not have all.
        way_out: what to do about rows that differ.
    """
    rows = np.concatenate([train, valid])
    is_valid = np.arange(len(rows)) >= len(train)
    _, first, which = np.unique(table[FILE].to_numpy()[rows], return_index=True, return_inverse=True)
    before = first[which]
    again = np.flatnonzero(before != np.arange(len(rows)))
    differing = _differing_columns(table[table.columns.intersection(list(columns))], rows[before[again]], rows[again])
    names, top, problems = table["fname"].to_numpy(), first_row(source), []
    for i, differing_columns in zip(again, differing, strict=True):
        row, other = int(rows[i]), int(rows[before[i]])
        what = f"{source}: row {row + top}: {names[row]} stands in row {other + top} already"
        if differing_columns:
            message = f"{what}, with other cells in {quote(differing_columns)}: one row denies what the other says."
            problems.append(Problem("duplicate", message, row, True, way_out, keep_row=True))
        elif is_valid[i] != is_valid[before[i]]:
            message = f"{what}: one row is for training, one for validation, and the score would be too good."
            problems.append(Problem("duplicate", message, row, True, "Keep one of the rows."))
        else:
            problems.append(Problem("duplicate", f"{what}, and counts twice.", row, False, "Keep one of the rows."))
    return problems


def _differing_columns(table: pd.DataFrame, rows: NDArray[np.int64], others: NDArray[np.int64]) -> list[list[str]]:
    """Return, of N pairs of rows, the columns in which their cells differ."""
    differing: list[list[str]] = [[] for _ in rows]
    for column in table.columns:
        cells = table[column].to_numpy()
        a, b = cells[rows], cells[others]
        for pair in np.flatnonzero((a != b) & ~(pd.isna(a) & pd.isna(b))):
            if not (isinstance(a[pair], tuple) and set(a[pair]) == set(b[pair])):  # labels have no order
                differing[pair].append(str(column))
    return differing


def shared_groups(table: pd.DataFrame, train: Rows, valid: Rows, *, of_splitter: bool) -> list[Problem]:
    """Return the groups on both sides of a split that the user chose, by a splitter or the column `is_valid`."""
    if "group" not in table.columns:
        return []
    codes, groups = pd.factorize(table["group"])
    ways = ("Change 'is_valid', or drop that column to have whole groups drawn.", "Let the splitter keep groups whole.")
    too_good = "is on both sides of the split: the validation score will be too good."
    return [
        Problem("group", f"group {group!r} {too_good}", way_out=ways[of_splitter])
        for group in sorted(groups[np.intersect1d(codes[train], codes[valid])])
    ]


def respelt(located: LocatedTable) -> list[Problem]:
    """Return, as one doubt, that names were taken for files that are called a little otherwise."""
    line = respelt_line(located.source, located.files)
    return [] if line is None else [Problem("name", line)]


def trained_on(test: LocatedTable, tested: Rows, source: Path, training: NDArray[np.int64]) -> list[Problem]:
    """Return, as one doubt, that images of the test table are for training too.

    Args:
        test: the test table.
        tested: its rows for testing.
        source: the table that trains.
        training: the ids of its files for training.
    """
    rows = tested[np.isin(test.files.ids[tested], training)]
    if not len(rows):
        return []
    first = f"{cell_at(test.source, int(rows[0]), 'fname')}: {test.files.names[rows[0]]}"
    n = f"{len(rows):,} of the {len(tested):,} rows are of images that {source.name} has for training"
    return [Problem("test", f"{first}: {n}: the test score will be too good. Take them out of one of the tables.")]
