"""What a data set with numbers holds, and what happens to a sample of it, for a person."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightning_tasks.data.loading.dataset import EpochIndex, TargetDataset, sample_seed
from lightning_tasks.data.tables.csv_table import listed
from lightning_tasks.data.tables.splits import Rows, describe_counts
from lightning_tasks.data.transforms.compose import augment_image
from lightning_tasks.tasks.sample_steps import NAMES_LISTED, array_line, step
from lightning_tasks.tasks.values.table import target_values


def describe_values(root: Path, table: pd.DataFrame, split: tuple[Rows, Rows], names: Sequence[str]) -> list[str]:
    """Return lines about images with numbers."""
    values = target_values(table, names)
    targets = f"{len(names)} target{'s' * (len(names) > 1)} ({listed(names)})"
    lines = [describe_counts(root, table, split), f"{targets}, known for {(~np.isnan(values)).mean():.1%} of the rows"]
    return [*lines, *count_values(names, values)]


def count_values(names: Sequence[str], values: NDArray[np.floating]) -> list[str]:
    """Return a table of each target: how many numbers are known, and where they lie."""
    width = max(6, *(len(name) for name in names[:NAMES_LISTED]))
    lines = [f"{'target':<{width}}     known         mean    deviation       lowest       median      highest"]
    for name, column in zip(names[:NAMES_LISTED], values.T, strict=False):
        known = column[~np.isnan(column)].astype(np.float64)
        numbers = [known.mean(), known.std(), known.min(), np.median(known), known.max()] if len(known) else []
        lines.append(f"{name:<{width}}  {len(known):>8,}  " + "  ".join(f"{number:>11.5g}" for number in numbers))
    return lines + ([f"... and {len(names) - NAMES_LISTED} more"] if len(names) > NAMES_LISTED else [])


def describe_sample(dataset: TargetDataset, row: int) -> list[str]:
    """Return a line for each step of a sample."""
    path, seed = str(dataset.paths[row]), sample_seed(dataset.seed, 0, row)
    image = dataset.images[row].image
    with step("transform", path):
        augmented = augment_image(dataset.transform, image, seed)
    sample = dataset[EpochIndex(0, row)]
    return [
        f"one sample: {path}",
        array_line("decode", image),
        array_line("transform", augmented),
        array_line("targets", sample.target),
    ]
