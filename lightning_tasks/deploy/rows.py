"""Predictions as a table: csv, JSON or parquet."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from lightning_tasks.data.images import Size
from lightning_tasks.deploy.predictor import LabelPrediction, Labels, Points, Prediction
from lightning_tasks.errors import ConfigError, MissingLibraryError
from lightning_tasks.output import write_whole

_SUFFIXES = (".csv", ".json", ".parquet")
_SEPARATORS = " ;,|"


class Row(NamedTuple):
    """A picture and what is said of it, or why nothing is."""

    path: Path
    name: Path  # below the folder that was named
    size: Size  # height and width
    prediction: Prediction | None
    error: str | None


def check_suffix(path: Path) -> None:
    """Raise an error where a table with this ending cannot be written: before all pictures are predicted."""
    if path.suffix not in _SUFFIXES:
        raise ConfigError(f"{path}: predictions are written as {', '.join(_SUFFIXES)}. End --output in one of them.")
    if path.suffix == ".parquet":
        try:
            import pyarrow  # noqa: F401 - what pandas writes parquet with
        except ImportError as error:
            raise MissingLibraryError("parquet needs pyarrow: pip install 'lightning-tasks[parquet]'") from error


def write_rows(path: Path, rows: Sequence[Row], names: Labels | Points) -> None:
    """Write a row for each picture, in order; see `_columns` for csv and parquet, `_entry` for JSON.

    Raises:
        ConfigError: it cannot be written.
    """
    if path.suffix == ".json":
        text = json.dumps([_entry(row, names) for row in rows], indent=1, ensure_ascii=False)
        write_whole(path, lambda new: new.write_text(text + "\n", encoding="utf-8", errors="replace"))
        return
    table = _columns(rows, names)
    if path.suffix == ".parquet":
        write_whole(path, lambda new: table.to_parquet(new, index=False))
    else:
        write_whole(
            path, lambda new: table.to_csv(new, index=False, float_format="%.6f", encoding="utf-8", errors="replace")
        )


def _columns(rows: Sequence[Row], names: Labels | Points) -> pd.DataFrame:
    """Return `fname,labels,error` and each label's probability; or `fname,error` and each point's x and y in pixels."""
    fnames, errors = [str(row.path) for row in rows], [row.error or "" for row in rows]
    numbers = np.array([_numbers(row.prediction, names) for row in rows], dtype=np.float32)
    if isinstance(names, Points):
        columns = [f"{name}_{axis}" for name in names.names for axis in "xy"]
        first: dict[str, Any] = {"fname": fnames, "error": errors}
    else:
        columns, separator = list(names.vocab), _separator(names.vocab)
        chosen = [separator.join(_labels(row.prediction)) for row in rows]
        first = {"fname": fnames, "labels": chosen, "error": errors}
    return pd.concat([pd.DataFrame(first), pd.DataFrame(numbers, columns=columns)], axis=1)


def _entry(row: Row, names: Labels | Points) -> dict[str, Any]:
    entry: dict[str, Any] = {"fname": str(row.path), "error": row.error}
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


def _separator(vocab: Sequence[str]) -> str:
    """Return what may stand between labels: the first of the usual separators that stands in none."""
    return next((one for one in _SEPARATORS if not any(one in label for label in vocab)), "\n")
