"""What a data set with points holds, for a person."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lightning_tasks.data.describe import describe_counts, listed
from lightning_tasks.data.tables.splits import Rows
from lightning_tasks.tasks.keypoints.table import point_positions


def describe_points(root: Path, table: pd.DataFrame, split: tuple[Rows, Rows], point_names: Sequence[str]) -> list[str]:
    """Return lines about images with points."""
    lines = [describe_counts(root, table, split)]
    if "group" in table.columns:
        groups = table["group"]
        lines.append(f"{groups.nunique()} groups; validation: {', '.join(sorted(groups.iloc[split[1]].unique()))}")
    annotated = ~np.isnan(point_positions(table)).any(axis=-1)
    points = f"{len(point_names)} point{'s' * (len(point_names) > 1)} ({listed(point_names)})"
    return [*lines, f"{points}, annotated in {annotated.mean():.1%} of the images"]
