"""The column `split`: which rows are for training, validation and testing, in the words that tables have for it."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightning_tasks.data.tables.csv_table import OnError, cell_at, first_row
from lightning_tasks.errors import TableError

_PART_OF = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "valid"),
    **dict.fromkeys(("test", "testing"), "test"),
}


def check_split(path: Path, table: pd.DataFrame, on_error: OnError) -> None:
    """Check the column `split`, and mark the rows for validation in `is_valid`, in place.

    Where no row is for validation there is no `is_valid` either: validation is then drawn.

    Args:
        path: the table's file.
        table: of str, and `is_valid`, where there is one, of bool.
        on_error: what is done about a row that cannot be used.

    Raises:
        TableError: from `on_error`, at an unknown word, or where `is_valid` says otherwise.
    """
    parts = _parts(table["split"])
    for row in np.flatnonzero(parts.isna()):
        message = (
            f"{cell_at(path, int(row), 'split')}: {table['split'].iloc[row]!r} is none of train, val and test. Write "
            "one of them; or give the column another name if it says something else."
        )
        on_error(int(row), TableError(message))
    for_validation = (parts == "valid").to_numpy()
    if "is_valid" not in table.columns:
        if for_validation.any():
            table["is_valid"] = for_validation
        return
    for row in np.flatnonzero((table["is_valid"].to_numpy() != for_validation) & parts.notna().to_numpy()):
        message = (
            f"{path}: row {row + first_row(path)}, columns 'split' and 'is_valid': {table['split'].iloc[row]!r} and "
            f"{table['is_valid'].iloc[row]} contradict each other. Correct one of them, or take one column out."
        )
        on_error(int(row), TableError(message))


def marked_test(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which rows the column `split` marks for testing (N,); none where there is no such column."""
    if "split" not in table.columns:
        return np.zeros(len(table), dtype=bool)
    return np.asarray(_parts(table["split"]) == "test")


def _parts(cells: "pd.Series[str]") -> "pd.Series[str]":
    return cells.str.strip().str.lower().map(_PART_OF)
