"""The table without the rows that `check` found bad."""

import csv
from collections.abc import Sequence
from pathlib import Path

from lightning_tasks.atomic_write import write_whole
from lightning_tasks.data.datamodule import ImageDataModule
from lightning_tasks.data.tables.csv_table import delimiter_of, encoding_of, is_image_set, read_cells
from lightning_tasks.data.tables.table_checks import Problem
from lightning_tasks.errors import ConfigError
from lightning_tasks.filesystem import is_file
from lightning_tasks.verbs.near_duplicates import NEAR_DUPLICATE


def require_csv(datamodule: ImageDataModule) -> None:
    """Raise ConfigError where there is no csv that rows could be left out of."""
    if is_image_set(datamodule.csv) or not is_file(datamodule.csv):
        module = type(datamodule).__name__
        raise ConfigError(f"--fix writes a csv without the bad rows; {module} reads none in {datamodule.root}.")


def write_fixed(problems: Sequence[Problem], source: Path, target: Path, near_duplicates: bool) -> str:
    """Write the table without the bad rows, and return what was done, for a person.

    Args:
        problems: that `check` found.
        source: the table.
        target: the csv that is written.
        near_duplicates: leave rows out for their looks too, which may deceive.
    """
    bad = [problem for problem in problems if near_duplicates or problem.kind != NEAR_DUPLICATE]
    line = write_without(bad, source, target)
    kept = {problem.row for problem in problems} - {problem.row for problem in bad}
    if not kept:
        return line
    return f"{line}\n{target}: with {len(kept):,} near-duplicates; --fix_near_duplicates true leaves them out"


def write_without(problems: Sequence[Problem], source: Path, target: Path) -> str:
    """Write the table without the rows that have a problem; return what was done, for a person.

    Rows of one image that deny each other are kept: without one of them the other would be as wrong. The cells are the
    file's own, and so is what stands between them: what a comma means depends on it. The encoding is UTF-8.
    """
    header, *rows = read_cells(source)
    delimiter = delimiter_of(source)
    bad = {problem.row for problem in problems if not problem.keep_row}
    kept = [cells for row, cells in enumerate(rows) if row not in bad]

    def write(new: Path) -> None:
        with new.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, delimiter=delimiter).writerows([header, *kept])

    write_whole(target, write)
    now = ", now in UTF-8" if encoding_of(source) != encoding_of(target) else ""
    unsolved = sum(problem.keep_row for problem in problems)
    more = f"\n{target}: with {unsolved:,} rows that only you can put right" if unsolved else ""
    return f"{target}: without {len(rows) - len(kept):,} rows{now}{more}"
