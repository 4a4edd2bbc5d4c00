"""What is wrong with a table as a whole: one set of checks, which `fit`, `prepare` and `check` all ask. No pixels."""

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pytorch_lightning.utilities import rank_zero_warn

from lightning_tasks.data.tables.csv_table import cell_at, first_row, plain_name, quote
from lightning_tasks.data.tables.file_checks import LocatedTable, respelt_line
from lightning_tasks.data.tables.splits import FILE, Rows
from lightning_tasks.errors import LightningTasksWarning, TableError

OF_TRAINING = ("few",)  # kinds of doubt that matter only where something trains
_LISTED = 3
# Of columns that nobody reads: `isvalid` beside `is_valid` draws another split.
ROW_COLUMNS = ("fname", "group", "is_valid", "split")  # of any task

_COLUMNS_LISTED = 20
_ALIKE = 0.8  # of difflib's ratio: is_vaild and is_valid have 0.86
_SYNONYMS = {
    **dict.fromkeys(("valid", "val", "validation", "isval", "isvalidation"), "is_valid"),
    **dict.fromkeys(("subset", "partition", "set", "phase", "usage"), "split"),
    **dict.fromkeys(("person", "personid", "subject", "subjectid", "patient", "patientid", "identity"), "group"),
}


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
    """Raise the errors, as one TableError of the first ones; warn, once and in a line, of each kind of doubt."""
    if errors := [problem for problem in problems if problem.is_error]:
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

    Rows that differ in what they say of the image, in `columns`, deny each other, and rows on both sides of the split
    are no test: errors. One that says the same, on the same side, counts twice: a doubt.
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
    """Return, as one doubt, what `respelt_line` says."""
    line = respelt_line(located.source, located.files)
    return [] if line is None else [Problem("name", line)]


def trained_on(test: LocatedTable, tested: Rows, source: Path, training: NDArray[np.int64]) -> list[Problem]:
    """Return, as one doubt, that images of the test table's rows `tested` are for training too.

    These have the ids `training` in the table `source`.
    """
    rows = tested[np.isin(test.files.ids[tested], training)]
    if not len(rows):
        return []
    first = f"{cell_at(test.source, int(rows[0]), 'fname')}: {test.files.names[rows[0]]}"
    n = f"{len(rows):,} of the {len(tested):,} rows are of images that {source.name} has for training"
    return [Problem("test", f"{first}: {n}: the test score will be too good. Take them out of one of the tables.")]


class TaskColumns(NamedTuple):
    """The columns of a table that a task reads, beside `ROW_COLUMNS`."""

    annotations: Sequence[str]  # that say something of the image, and not of the row or of a part; may be missing
    others: Sequence[str] = ()  # that may be there too
    meant_by: Callable[[str], str | None] = lambda column: None  # which other column of the task one is nearly like


def unused_columns(path: Path, columns: Iterable[str], of_task: TaskColumns, only_near_misses: bool) -> list[Problem]:
    """Return one doubt that names the columns of a header which nobody reads; none where all are read.

    With `only_near_misses` it names those alone that are nearly like another: of the others a splitter may make use.
    """
    columns = [column for column in columns if column != FILE]
    known = {*ROW_COLUMNS, *of_task.annotations, *of_task.others}
    unused = [column for column in columns if column and column not in known]  # pandas writes its index without a name
    missing = [name for name in (*ROW_COLUMNS, *of_task.annotations) if name not in columns]
    nearest = {column: _nearest(column, missing) or of_task.meant_by(column) for column in unused}
    if only_near_misses:
        unused = [column for column in unused if nearest[column] is not None]
    if not unused:
        return []
    more = f" and {len(unused) - _COLUMNS_LISTED:,} more" * (len(unused) > _COLUMNS_LISTED)
    listed = quote(unused) if more or len(unused) == 1 else f"{quote(unused[:-1])} and {unused[-1]!r}"
    message = f"{path}: row 1: nothing reads the column{'s' * (len(unused) > 1)} {listed}{more}."
    pairs = [f"{column!r} to {name!r}" for column, name in nearest.items() if column in unused and name is not None]
    renamed = ", ".join(pairs[:_COLUMNS_LISTED])
    return [Problem("column", message, way_out=f"If that is what is meant, rename {renamed}." if pairs else "")]


def _nearest(column: str, missing: Sequence[str]) -> str | None:
    if (synonym := _SYNONYMS.get(plain_name(column))) in missing:
        return synonym
    plain = {plain_name(name): name for name in missing}
    close = difflib.get_close_matches(plain_name(column), plain, n=1, cutoff=_ALIKE)
    return plain[close[0]] if close else None
