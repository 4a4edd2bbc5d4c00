"""From the names in a table to the files that they mean."""

import os
import stat
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightning_tasks.data.tables.csv_table import cell_at, quote
from lightning_tasks.data.tables.near_names import NearNames
from lightning_tasks.data.tables.paths import Confines, Paths, RealPaths
from lightning_tasks.data.tables.splits import FILE
from lightning_tasks.errors import DatasetNotFoundError, TableError


@dataclass(frozen=True)
class Files:
    """What the N names of a table mean."""

    folder: Path  # that they start from
    names: list[str]  # as the files are called; where there is none, as the table says
    ids: NDArray[np.int64]  # (N,), equal where names lead to one file, by whatever spelling, folder or link
    missing: NDArray[np.bool_]  # (N,)
    leads_out: NDArray[np.bool_]  # (N,), of the data's folders
    respelt: dict[int, str]  # of the names that no file had but that one fitted: row → as the table has it
    near: NearNames

    def path(self, row: int) -> Path:
        """Return the file of a row."""
        return self.folder / self.names[row]

    def paths(self, rows: NDArray[np.int64]) -> Paths:
        """Return the files of rows."""
        return Paths(self.folder, [self.names[row] for row in rows])

    def what_is_missing(self, row: int) -> str:
        """Return what is said of a missing file: its path, and which files it nearly is."""
        return f"there is no image {self.path(row)}{self.nearly(row)}"

    def nearly(self, row: int) -> str:
        """Return which files a missing one nearly is, after a semicolon; nothing where it is none."""
        if fitting := self.near.fitting(self.names[row]):
            return f"; it may be any of {quote(fitting)}"
        other = self.near.with_other_endings(self.names[row]) or self.near.elsewhere(self.names[row])
        return f"; there is {quote(other)}" if other else ""


def find_files(names: Sequence[str], folder: Path, confines: Confines | None) -> Files:
    """Return which files in a folder N names mean: those that are called so, else those that they fit (`NearNames`)."""
    found, real_paths, near = list(names), RealPaths(), NearNames(folder, confines)
    ids = np.empty(len(names), dtype=np.int64)
    missing, leads_out = np.zeros(len(names), dtype=bool), np.zeros(len(names), dtype=bool)
    respelt = {}
    for row, name in enumerate(names):
        real, is_there = _look(os.path.join(folder, name), real_paths)  # noqa: PTH118 - of a million names
        leads_out[row] = real is not None and confines is not None and not confines.hold_real(real)
        if not is_there and not leads_out[row]:
            fitting = near.fitting(name)
            if len(fitting) == 1:
                found[row], respelt[row] = fitting[0], name
                real, is_there = _look(os.path.join(folder, fitting[0]), real_paths)  # noqa: PTH118
        missing[row] = not is_there
        ids[row] = hash(name if real is None else real)
    return Files(folder, found, ids, missing, leads_out, respelt, near)


def _look(path: str, real_paths: RealPaths) -> tuple[str | None, bool]:
    """Return where a path leads (None: nothing can be called so), and whether a file is there; mostly by one look."""
    try:
        mode = os.lstat(path).st_mode
    except (OSError, ValueError):
        mode = 0
    try:
        if stat.S_ISREG(mode):
            return real_paths.of_no_link(path), True
        return real_paths.of(path), stat.S_ISLNK(mode) and os.path.isfile(path)  # noqa: PTH113 - it never raises
    except (OSError, ValueError):
        return None, False


def respelt_line(source: Path, files: Files, rows: Sequence[int] | None = None) -> str | None:
    """Return what is said where names of a table were taken for files that are called a little otherwise; None: none.

    `rows` are the names' rows in the table, from 0; None: row i has name i.
    """
    if not files.respelt:
        return None
    row, name = next(iter(files.respelt.items()))
    n, where = len(files.respelt), cell_at(source, row if rows is None else rows[row], "fname")
    how_many = "1 file is" if n == 1 else f"{n:,} files are"
    return (
        f"{where}: {name!r} is taken for {files.names[row]!r}, which it fits: {how_many} called a little otherwise "
        "than in the table."
    )


@dataclass(frozen=True)
class LocatedTable:
    """A table with the files that it names."""

    source: Path
    table: pd.DataFrame  # `fname` as the files are called, and FILE
    files: Files


def locate(table: pd.DataFrame, source: Path, folder: Path, confines: Confines | None) -> LocatedTable:
    """Return a table with the files that its column `fname` names; see `find_files`."""
    files = find_files(table["fname"].tolist(), folder, confines)
    _, first, which = np.unique(files.ids, return_index=True, return_inverse=True)
    found = table.copy(deep=False)
    found["fname"] = pd.Series(files.names, index=table.index, dtype=table["fname"].dtype)
    found[FILE] = first[which]
    return LocatedTable(source, found, files)


def require_files(needed: Sequence[tuple[LocatedTable, NDArray[np.int64]]]) -> None:
    """Look at the files of those rows of tables that are needed.

    Raises:
        TableError: a name leads out of the data's folders.
        DatasetNotFoundError: images are missing; names the first, in the tables' order, and says how many there are.
    """
    for located, rows in needed:
        for row in rows[located.files.leads_out[rows]]:
            name, inside = located.files.names[row], located.files.near.elsewhere(located.files.names[row])
            there = f"; there is {quote(inside)}" if inside else ""
            raise TableError(
                f"{cell_at(located.source, int(row), 'fname')}: {name!r} leads out of the data's folder{there}. "
                "Correct it; or, if you trust the table, --data.allow_outside true."
            )
    missing = [(located, int(row)) for located, rows in needed for row in np.sort(rows[located.files.missing[rows]])]
    if missing:
        (first, row), n = missing[0], len(missing) - 1
        others = f" {n:,} more {'is' if n == 1 else 'are'} missing{_by_table(missing[1:])}." if n else ""
        raise DatasetNotFoundError(
            f"{cell_at(first.source, row, 'fname')}: {first.files.what_is_missing(row)}.{others} File names are looked "
            f"up in {first.files.folder}: check data.images, or take the row out."
        )


def _by_table(missing: Sequence[tuple[LocatedTable, int]]) -> str:
    counts = Counter(located.source for located, _ in missing)
    return f" ({', '.join(f'{n:,} in {source.name}' for source, n in counts.items())})" if len(counts) > 1 else ""
