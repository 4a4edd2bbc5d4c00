"""What a data set of any task holds, for a person."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lightning_tasks.data.tables.split_column import marked_test
from lightning_tasks.data.tables.splits import FILE, Rows

_NAMES_LISTED = 6


def describe_white(white_level: int | None) -> list[str]:
    """Return a line about images of more than 8 bits, where there are any or white was given."""
    return [] if white_level is None else [f"white is {white_level:,} in images of more than 8 bits (data.white_level)"]


def listed(names: Sequence[str]) -> str:
    """Return the first few names."""
    return ", ".join(names[:_NAMES_LISTED]) + (", ..." if len(names) > _NAMES_LISTED else "")


def count_images(table: pd.DataFrame) -> str:
    """Return how many images a table is of, and how many rows they have where these are more."""
    n = table[FILE].nunique()
    return f"{n:,} images" + f" in {len(table):,} rows" * (n < len(table))


def describe_counts(root: Path, table: pd.DataFrame, split: tuple[Rows, Rows]) -> str:
    """Return where the data set is, and how many images each split has."""
    train, valid = (table[FILE].iloc[rows].nunique() for rows in split)
    test = int(marked_test(table).sum())
    counts = f"{count_images(table)}, {train:,} training, {valid:,} validation"
    return f"{root}: {counts}" + (f", {test:,} marked test (they stay out)" if test else "")
