"""The table without the rows that `check` found bad."""

from collections.abc import Sequence
from pathlib import Path

from lightning_tasks.data.datamodule import ImageDataModule
from lightning_tasks.data.tables.csv_table import is_image_set
from lightning_tasks.data.tables.table_checks import Problem
from lightning_tasks.errors import ConfigError
from lightning_tasks.filesystem import is_file
from lightning_tasks.verbs.check import NEAR_DUPLICATE, write_without


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
