"""What a data set with labels holds, for a person."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lightning_tasks.data.describe import describe_counts
from lightning_tasks.data.tables.splits import Rows


def describe_labels(
    root: Path, table: pd.DataFrame, split: tuple[Rows, Rows], vocab: Sequence[str], difficult: str
) -> list[str]:
    """Return lines about images with labels."""
    used = np.union1d(*split)
    known = set(vocab)
    rows = table.iloc[used]
    difficult_cells = rows["difficult"] if "difficult" in table.columns else [()] * len(rows)
    positives = sum(
        len(known.intersection(labels).difference(hard))
        for labels, hard in zip(rows["labels"], difficult_cells, strict=True)
    )
    lines = [
        describe_counts(root, table, split),
        f"{len(vocab)} labels, {positives / len(used):.2f} an image: {', '.join(vocab)}",
    ]
    empty = sum(not (labels or hard) for labels, hard in zip(rows["labels"], difficult_cells, strict=True))
    if empty:
        lines.append(f"{empty:,} images with no label: an empty cell says that an image has none of them")
    if "difficult" in table.columns:
        lines.append(f"{table['difficult'].map(len).sum():,} difficult ones count as {difficult}")
    return lines
