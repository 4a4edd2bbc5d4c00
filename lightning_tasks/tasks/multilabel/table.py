"""The table of images with labels."""

import difflib
import functools
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightning_tasks.data.tables.cells import normalize, stands_for_nothing
from lightning_tasks.data.tables.csv_table import OnError, cell_at, raise_error, read_csv, shorten
from lightning_tasks.data.tables.split_column import check_split
from lightning_tasks.errors import ConfigError, TableError
from lightning_tasks.tasks.multilabel.label_cells import AUTO, WHOLE, split_cell

LABEL_COLUMNS = ("labels", "difficult")  # beside those of any task


def read_multilabel_table(
    path: Path, label_separator: str = AUTO, on_error: OnError = raise_error, vocab: Collection[str] = ()
) -> pd.DataFrame:
    """Read `fname,labels[,difficult][,group][,is_valid][,split]`.

    Args:
        path: the csv file.
        label_separator: stands between labels in a cell, and between difficult ones; see `split_cell`.
        on_error: what is done about a row that cannot be used.
        vocab: labels that are known to be some, even where they read like words for nothing: `None`, `NA`.

    Returns:
        A frame with `fname` (str), `labels` (tuple of str; empty where the cell is), and where the file has them
        `difficult` (like `labels`), `group` (str), `is_valid` (bool; see also `check_split`); and all other columns
        (str). Row i of the frame is row i + 2 of the file.

    Raises:
        DatasetNotFoundError: there is no such file.
        TableError: the file is no csv, lacks a column, or a cell cannot be used.
        ConfigError: the separator is empty.
    """
    if not label_separator:
        raise ConfigError(
            "data.label_separator is empty. Name what stands between labels, such as ' ' or ';', or write "
            f"{WHOLE} where each cell is one label."
        )
    table = read_csv(path, ["fname", "labels"], on_error)
    if "split" in table.columns:
        check_split(path, table, on_error)
    for column in LABEL_COLUMNS:
        if column not in table.columns:
            continue
        read = {cell: _labels_or_mistake(cell, label_separator, vocab) for cell in table[column].unique()}
        for row, cell in enumerate(table[column]):
            if read[cell][1]:
                on_error(row, TableError(f"{cell_at(path, row, column)}: {read[cell][1]}"))
        table[column] = [read[cell][0] for cell in table[column]]
    return table


def _labels_or_mistake(cell: str, separator: str, vocab: Collection[str]) -> tuple[tuple[str, ...], str]:
    """Return a cell's labels, and what is wrong with them; empty where nothing is."""
    try:
        labels = split_cell(cell, separator)
    except ValueError as error:
        way_out = """Write it as ["a", "b"], or the labels with data.label_separator between them."""
        return (), f"{shorten(cell)!r} starts like a list and cannot be read as one: {error}. {way_out}"
    for label in labels:
        if stands_for_nothing(label) and label not in vocab:
            return labels, (
                f"{label!r} stands for nothing. Empty the cell of an image that has none of the labels; if it is a "
                f"label, name all labels: --data.vocab '[\"{label}\", ...]' (for init, --vocab)."
            )
    if len(set(labels)) == len(labels):
        return labels, ""
    twice = next(label for label, n in Counter(labels).items() if n > 1)
    return labels, f"the label {twice!r} stands twice. Keep one of them."


def checked_vocab(vocab: Sequence[str] | None) -> list[str] | None:
    """Return labels that somebody named as the table's are read.

    Raises:
        ConfigError: one is empty, or stands twice.
    """
    if vocab is None:
        return None
    labels = [normalize(label) for label in vocab]
    for label, n in Counter(labels).items():
        if n > 1 or not label:
            raise ConfigError(f"data.vocab: {f'the label {label!r} stands twice' if label else 'a label is empty'}.")
    return labels


def build_vocab(labels: Iterable[Sequence[str]]) -> list[str]:
    """Return the union of all labels, sorted."""
    return sorted({label for row in labels for label in row})


def encode_labels(
    table: pd.DataFrame, rows: NDArray[np.int64], vocab: Sequence[str], source: Path, difficult: float
) -> NDArray[np.float32]:
    """Return the labels of `rows` as (len(rows), len(vocab)) float32, 1 where the image has the label.

    Where a column `difficult` names a label, the cell is `difficult`, whether or not `labels` names it too.

    Raises:
        TableError: a label is not in `vocab`; names the label and its row.
    """
    position = {label: i for i, label in enumerate(vocab)}
    targets = np.zeros((len(rows), len(vocab)), dtype=np.float32)
    columns = {"labels": 1.0, "difficult": difficult}
    for column, value in columns.items():
        if column not in table.columns:
            continue
        cells = table[column].tolist()
        for i, row in enumerate(rows):
            for label in cells[row]:
                if label not in position:
                    message = unknown_label(source, int(row), column, label, vocab, given=True)
                    raise TableError(f"{message} Correct it, or train a model that knows it.")
                targets[i, position[label]] = value
    return targets


def unknown_label(source: Path, row: int, column: str, label: str, vocab: Sequence[str], *, given: bool) -> str:
    """Return what is said of a label that is not in `vocab`; `given`: it was not read off the training split."""
    hint = _hint(label, tuple(vocab))
    labels = f"the {len(vocab)} labels of {'the vocabulary' if given else 'the training split'}"
    return f"{cell_at(source, row, column)}: the label {label!r} is not among {labels}.{hint}"


@functools.lru_cache  # a label may be unknown in each of many rows
def _hint(label: str, vocab: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(label, vocab, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
