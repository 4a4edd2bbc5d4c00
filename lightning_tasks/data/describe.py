"""What a data set of any task holds, and what happens to one sample, step by step: for a person."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from lightning_tasks.data.tables.split_column import marked_test
from lightning_tasks.data.tables.splits import FILE, Rows
from lightning_tasks.errors import ConfigError, LightningTasksError

NAMES_LISTED = 30  # in a table
_NAMES_IN_A_LINE = 6


def describe_white(white_level: int | None) -> list[str]:
    """Return a line about images of more than 8 bits, where there are any or white was given."""
    return [] if white_level is None else [f"white is {white_level:,} in images of more than 8 bits (data.white_level)"]


def listed(names: Sequence[str]) -> str:
    """Return the first few names."""
    return ", ".join(names[:_NAMES_IN_A_LINE]) + (", ..." if len(names) > _NAMES_IN_A_LINE else "")


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


@contextlib.contextmanager
def step(name: str, sample: str) -> Iterator[None]:
    """Let an error of a step name the step and the sample."""
    try:
        yield
    except LightningTasksError:
        raise
    except Exception as error:  # a transform of the user's may raise anything
        raise ConfigError(f"The step {name!r} failed for {sample}: {type(error).__name__}: {error}") from error


def array_line(name: str, values: NDArray[Any] | Tensor, unit: str = "") -> str:
    """Return a line about an array: its shape, its type, and between which values it lies."""
    kind = str(values.dtype).removeprefix("torch.")
    finite = values[~np.isnan(values)] if isinstance(values, np.ndarray) and values.dtype.kind == "f" else values
    span = f"{float(finite.min()):g} to {float(finite.max()):g}" if len(finite) else "empty"
    return f"  {name:<16}  {tuple(values.shape)!s:<18}  {kind:<8}  {span}{' ' + unit if unit else ''}"
