"""Predictions as a table: csv, JSON or parquet."""

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from lightning_tasks.atomic_write import require_place, write_whole
from lightning_tasks.csv_text import STDOUT, apart, renamed, separator_for, write_csv
from lightning_tasks.data.images.decode import Size
from lightning_tasks.deploy.predictor import LabelPrediction, Labels, Points, Prediction
from lightning_tasks.errors import ConfigError, MissingLibraryError
from lightning_tasks.filesystem import as_text

_SUFFIXES = (".csv", ".json", ".parquet")


class Row(NamedTuple):
    """An image and what is said of it, or why nothing is."""

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


def write_rows(path: Path, rows: Sequence[Row], names: Labels | Points, *, excel: bool = False) -> None:
    """Write a row for each image, in order; see `_columns` for csv and parquet, `_entry` for JSON.

    Raises:
        ConfigError: it cannot be written.
    """
    if path.suffix == ".json":
        text = json.dumps([_entry(row, names) for row in rows], indent=1, ensure_ascii=False)
        write_whole(path, lambda new: new.write_text(text + "\n", encoding="utf-8"))
    elif path.suffix == ".parquet":
        first, numbers = _columns(names)
        texts = pd.DataFrame([_texts(row, names) for row in rows], columns=first, dtype=str)
        values = np.array([_numbers(row.prediction, names) for row in rows], dtype=np.float32)
        table = pd.concat([texts, pd.DataFrame(values, columns=numbers)], axis=1)
        write_whole(path, lambda new: new.write_bytes(table.to_parquet(index=False)))
    else:
        first, numbers = _columns(names)
        cells = ([*_texts(row, names), *_written(row, names)] for row in rows)
        write_csv(path, itertools.chain([[*first, *numbers]], cells), excel=excel)


def told_of_columns(path: Path, names: Labels | Points) -> list[str]:
    """Return a sentence for each label or point that has another name in the table."""
    if path.suffix == ".json":
        return []
    return renamed(_number_columns(names), _text_columns(names))


def _columns(names: Labels | Points) -> tuple[list[str], list[str]]:
    """Return the columns: `fname,labels,error` and the labels; or `fname,error` and each point's x and y.

    A label that is called like one of the first gets another name.
    """
    first = _text_columns(names)
    return first, apart(_number_columns(names), first)


def _text_columns(names: Labels | Points) -> list[str]:
    return ["fname", "error"] if isinstance(names, Points) else ["fname", "labels", "error"]


def _number_columns(names: Labels | Points) -> list[str]:
    return [f"{name}_{axis}" for name in names.names for axis in "xy"] if isinstance(names, Points) else [*names.vocab]


def _texts(row: Row, names: Labels | Points) -> list[str]:
    fname, error = as_text(row.path), as_text(row.error or "")
    return (
        [fname, error]
        if isinstance(names, Points)
        else [fname, separator_for(names.vocab).join(_labels(row.prediction)), error]
    )


def _written(row: Row, names: Labels | Points) -> list[str]:
    return ["" if number != number else f"{number:.6f}" for number in _numbers(row.prediction, names)]


def _entry(row: Row, names: Labels | Points) -> dict[str, Any]:
    error = None if row.error is None else as_text(row.error)
    entry: dict[str, Any] = {"fname": as_text(row.path), "error": error}
    if row.prediction is None:
        return entry
    numbers = [round(float(number), 6) for number in _numbers(row.prediction, names)]
    if isinstance(names, Points):
        pairs = zip(numbers[::2], numbers[1::2], strict=True)
        return entry | {"points_px": dict(zip(names.names, pairs, strict=True))}
    probabilities = dict(zip(names.vocab, numbers, strict=True))
    return entry | {"labels": list(_labels(row.prediction)), "probabilities": probabilities}


def _numbers(prediction: Prediction | None, names: Labels | Points) -> list[float]:
    if prediction is None:
        return [np.nan] * (2 * len(names.names) if isinstance(names, Points) else len(names.vocab))
    if isinstance(prediction, LabelPrediction):
        return [float(number) for number in prediction.probabilities]
    return [float(number) for number in prediction.points_px.ravel()]


def _labels(prediction: Prediction | None) -> tuple[str, ...]:
    return prediction.labels if isinstance(prediction, LabelPrediction) else ()
