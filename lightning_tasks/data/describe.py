"""What a data set holds, for a person."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lightning_tasks.data.keypoint_table import point_positions
from lightning_tasks.data.split_column import marked_test
from lightning_tasks.data.splits import FILE, Rows

_NAMES_LISTED = 6


def describe_labels(
    root: Path, table: pd.DataFrame, split: tuple[Rows, Rows], vocab: Sequence[str], difficult: str
) -> list[str]:
    """Return lines about pictures with labels."""
    used = np.union1d(*split)
    known = set(vocab)
    rows = table.iloc[used]
    difficult_ones = rows["difficult"] if "difficult" in table.columns else [()] * len(rows)
    positives = sum(
        len(known.intersection(labels).difference(those))
        for labels, those in zip(rows["labels"], difficult_ones, strict=True)
    )
    lines = [
        _counts(root, table, split),
        f"{len(vocab)} labels, {positives / len(used):.2f} a picture: {', '.join(vocab)}",
    ]
    empty = sum(not (labels or those) for labels, those in zip(rows["labels"], difficult_ones, strict=True))
    if empty:
        lines.append(f"{empty:,} pictures with no label: an empty cell says that a picture has none of them")
    if "difficult" in table.columns:
        lines.append(f"{table['difficult'].map(len).sum():,} difficult ones count as {difficult}")
    return lines


def describe_points(root: Path, table: pd.DataFrame, split: tuple[Rows, Rows], point_names: Sequence[str]) -> list[str]:
    """Return lines about pictures with points."""
    lines = [_counts(root, table, split)]
    if "group" in table.columns:
        groups = table["group"]
        lines.append(f"{groups.nunique()} groups; validation: {', '.join(sorted(groups.iloc[split[1]].unique()))}")
    annotated = ~np.isnan(point_positions(table)).any(axis=-1)
    points = f"{len(point_names)} point{'s' * (len(point_names) > 1)} ({listed(point_names)})"
    return [*lines, f"{points}, annotated in {annotated.mean():.1%} of the pictures"]


def describe_white(white_level: int | None) -> list[str]:
    """Return a line about images of more than 8 bits, where there are any or white was given."""
    return [] if white_level is None else [f"white is {white_level:,} in images of more than 8 bits (data.white_level)"]


def listed(names: Sequence[str]) -> str:
    """Return the first few names."""
    return ", ".join(names[:_NAMES_LISTED]) + (", ..." if len(names) > _NAMES_LISTED else "")


def count_images(table: pd.DataFrame) -> str:
    """Return how many images a table is of, and how many rows they have where these are more."""
    n = table[FILE].nunique()
    return f"{n:,} pictures" + f" in {len(table):,} rows" * (n < len(table))


def _counts(root: Path, table: pd.DataFrame, split: tuple[Rows, Rows]) -> str:
    train, valid = (table[FILE].iloc[rows].nunique() for rows in split)
    test = int(marked_test(table).sum())
    counts = f"{count_images(table)}, {train:,} training, {valid:,} validation"
    return f"{root}: {counts}" + (f", {test:,} marked test (they stay out)" if test else "")
