"""Predictions as a table: csv, JSON or parquet."""

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightning_tasks.atomic_write import require_place, write_whole
from lightning_tasks.csv_text import STDOUT, describe_renames, distinct_columns, write_csv
from lightning_tasks.data.images.decode import Size
from lightning_tasks.errors import ConfigError, MissingLibraryError
from lightning_tasks.filesystem import as_text
from lightning_tasks.tasks.prediction import Columns, OutputFormat, Prediction

_SUFFIXES = (".csv", ".json", ".parquet")


class Row(NamedTuple):
    """An image and what is predicted for it, or why nothing is."""

    path: Path
    name: Path  # of its annotated copy, below the folder of these
    size: Size  # height and width
    prediction: Prediction | None
    error: str | None


def check_output(path: Path, *, excel: bool, inputs: Sequence[Path]) -> None:
    """Look whether a table can be written, before all images are predicted.

    Args:
        path: of the table; `-`: csv on standard output.
        excel: whether the table is to be one for Excel.
        inputs: the user's own files, which it must not write over.

    Raises:
        ConfigError: it cannot.
        MissingLibraryError: parquet needs another package.
    """
    if excel and path != STDOUT and path.suffix != ".csv":
        raise ConfigError(f"--excel is for csv; {path} is none. End --output in .csv.")
    if path == STDOUT:
        return
    if path.suffix not in _SUFFIXES:
        raise ConfigError(f"{path}: predictions are written as {', '.join(_SUFFIXES)}. End --output in one of them.")
    if path.suffix == ".parquet":
        try:
            import pyarrow  # noqa: F401 - what pandas writes parquet with
        except ImportError as error:
            raise MissingLibraryError("parquet needs pyarrow: pip install 'lightning-tasks[parquet]'") from error
    require_place(path, inputs)


def write_rows(path: Path, rows: Sequence[Row], output_format: OutputFormat[Any], *, excel: bool = False) -> None:
    """Write a row for each image, in order: its name, what is predicted, and why nothing is.

    In csv and parquet, outputs that are called like another column get another name.

    Raises:
        ConfigError: it cannot be written.
    """
    if path.suffix == ".json":
        text = json.dumps([_entry(row) for row in rows], indent=1, ensure_ascii=False)
        write_whole(path, lambda new: new.write_text(text + "\n", encoding="utf-8"))
        return
    texts, numbers = output_format.columns()
    first = ["fname", *texts, "error"]
    columns = distinct_columns(numbers, first)
    cells = [_cells(row, output_format.columns()) for row in rows]
    if path.suffix == ".parquet":
        table = pd.DataFrame([text for text, _ in cells], columns=first, dtype=str)
        values = np.array([values for _, values in cells], dtype=np.float32)
        table = pd.concat([table, pd.DataFrame(values, columns=columns)], axis=1)
        write_whole(path, lambda new: new.write_bytes(table.to_parquet(index=False)))
    else:
        lines = ([*text, *map(_as_text, values)] for text, values in cells)
        write_csv(path, itertools.chain([[*first, *columns]], lines), excel=excel)


def describe_renamed_columns(path: Path, output_format: OutputFormat[Any]) -> list[str]:
    """Return a sentence for each output that has another name in the table."""
    if path.suffix == ".json":
        return []
    texts, numbers = output_format.columns()
    return describe_renames(numbers, ["fname", *texts, "error"])


def _cells(row: Row, columns: Columns) -> tuple[list[str], NDArray[np.float32]]:
    if row.prediction is None:
        texts, numbers = [""] * len(columns.texts), np.full(len(columns.numbers), np.nan, np.float32)
    else:
        texts, numbers = row.prediction.cells()
    return [as_text(row.path), *texts, as_text(row.error or "")], numbers


def _as_text(number: np.float32) -> str:
    return "" if np.isnan(number) else f"{float(number):.6f}"


def _entry(row: Row) -> dict[str, Any]:
    error = None if row.error is None else as_text(row.error)
    predicted = {} if row.prediction is None else row.prediction.as_json()
    return {"fname": as_text(row.path), "error": error, **predicted}
