"""Predictions as a table: csv, JSON or parquet."""

import itertools
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd

from lightning_tasks.atomic_write import require_place, write_whole
from lightning_tasks.csv_text import STDOUT, describe_renames, distinct_columns, write_csv
from lightning_tasks.data.images.decode import Size
from lightning_tasks.errors import ConfigError, MissingLibraryError
from lightning_tasks.filesystem import as_text
from lightning_tasks.tasks.prediction import OutputFormat, Prediction

_SUFFIXES = (".csv", ".json", ".parquet")
_RANKED = ("rank", "uncertainty")


class Row(NamedTuple):
    """An image and what is predicted for it, or why nothing is."""

    path: Path
    name: Path  # of its annotated copy, below the folder of these
    prediction: Prediction | None
    error: str | None
    size: Size = (0, 0)  # of the upright image
    rank: int | None = None  # among all images: see `ranking`
    uncertainty: float | None = None


class PredictionOutput(ABC):
    """A file that takes predictions batch by batch, and appears whole at the end."""

    path: Path
    errors_lie: ClassVar[str | None]  # where all errors are to be found; None: nowhere

    @property
    @abstractmethod
    def num_rows(self) -> int:
        """How many images it has taken, with those that could not be read."""

    @property
    @abstractmethod
    def errors(self) -> list[str]:
        """Why some could not be read."""

    @abstractmethod
    def add(self, rows: Sequence[Row]) -> None:
        """Take the next images; ConfigError: there is no room for them."""

    @abstractmethod
    def write(self) -> None:
        """Put the file in its place; ConfigError: it cannot be written there."""

    def close(self) -> None:  # noqa: B027 - a table lets go by itself
        """Let go of what is kept until `write`."""

    def remarks(self) -> dict[str, list[str]]:
        """Return what the user should know of the file: sentences by what they are about."""
        return {}


class PredictionTable(PredictionOutput):
    """A csv, JSON or parquet with a row for each image."""

    errors_lie = "see the column 'error'"

    def __init__(
        self, path: Path, output_format: OutputFormat[Any], *, excel: bool = False, ranked: bool = False
    ) -> None:
        self.path = path
        self._output_format = output_format
        self._excel = excel
        self._ranked = ranked
        self._rows: list[Row] = []

    @property
    def num_rows(self) -> int:
        """How many rows there are."""
        return len(self._rows)

    @property
    def errors(self) -> list[str]:
        """What stands in the column `error`."""
        return [row.error for row in self._rows if row.error is not None]

    def add(self, rows: Sequence[Row]) -> None:
        """Take the next rows."""
        self._rows += rows

    def write(self) -> None:
        """Do as `write_rows`."""
        write_rows(self.path, self._rows, self._output_format, excel=self._excel, ranked=self._ranked)

    def remarks(self) -> dict[str, list[str]]:
        """Return which columns have other names."""
        return {"columns": describe_renamed_columns(self.path, self._output_format, ranked=self._ranked)}


def check_output(path: Path, *, excel: bool, inputs: Sequence[Path]) -> None:
    """Raise ConfigError, or MissingLibraryError, where a table cannot be written, or would replace an input."""
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


def write_rows(
    path: Path, rows: Sequence[Row], output_format: OutputFormat[Any], *, excel: bool = False, ranked: bool = False
) -> None:
    """Write a row for each image, in order: its name, what is predicted, why nothing is; ConfigError: it cannot.

    In csv and parquet, outputs that are called like another column get another name. `ranked`: also write the ranks.
    """
    if path.suffix == ".json":
        entries = [
            {"fname": as_text(row.path), "error": row.error and as_text(row.error)}
            | ({name: getattr(row, name) for name in _RANKED} if ranked else {})
            | ({} if row.prediction is None else row.prediction.as_json())
            for row in rows
        ]
        text = json.dumps(entries, indent=1, ensure_ascii=False)
        write_whole(path, lambda new: new.write_text(text + "\n", encoding="utf-8"))
        return
    texts, numbers = output_format.columns()
    first = _first_columns(texts, ranked=ranked)
    columns = distinct_columns(numbers, first)
    nothing = [""] * len(texts), np.full(len(numbers), np.nan, np.float32)
    cells = []
    for row in rows:
        said, values = row.prediction.cells() if row.prediction is not None else nothing
        cells.append(([as_text(row.path), *_rank_of(row, ranked=ranked), *said, as_text(row.error or "")], values))
    if path.suffix == ".parquet":
        table = pd.DataFrame([text for text, _ in cells], columns=first, dtype=str)
        if ranked:
            table["rank"] = pd.to_numeric(table["rank"]).astype("Int64")
            table["uncertainty"] = pd.to_numeric(table["uncertainty"])
        numeric = pd.DataFrame(np.array([values for _, values in cells], dtype=np.float32), columns=columns)
        table = pd.concat([table, numeric], axis=1)
        write_whole(path, lambda new: new.write_bytes(table.to_parquet(index=False)))
    else:
        lines = ([*text, *map(_as_text, values)] for text, values in cells)
        write_csv(path, itertools.chain([[*first, *columns]], lines), excel=excel)


def describe_renamed_columns(path: Path, output_format: OutputFormat[Any], *, ranked: bool = False) -> list[str]:
    """Return a sentence for each output that has another name in the table."""
    if path.suffix == ".json":
        return []
    texts, numbers = output_format.columns()
    return describe_renames(numbers, _first_columns(texts, ranked=ranked))


def _first_columns(texts: Sequence[str], *, ranked: bool) -> list[str]:
    return ["fname", *(_RANKED if ranked else ()), *texts, "error"]


def _rank_of(row: Row, *, ranked: bool) -> list[str]:
    """Return the cells of rank and uncertainty, empty where nothing is predicted; none where nothing is ranked."""
    if not ranked:
        return []
    return ["", ""] if row.uncertainty is None else [f"{row.rank}", f"{row.uncertainty:.6f}"]


def _as_text(number: np.float32) -> str:
    return "" if np.isnan(number) else f"{float(number):.6f}"
