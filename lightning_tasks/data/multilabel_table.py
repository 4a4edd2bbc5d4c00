"""The table of images with labels."""

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightning_tasks.data.split_column import check_split
from lightning_tasks.data.tables import Complain, cell_at, raise_at_once, read_csv
from lightning_tasks.errors import ConfigError, TableError

LABEL_COLUMNS = ("labels", "difficult")  # beside those of any task


def read_multilabel_table(path: Path, label_separator: str = " ", complain: Complain = raise_at_once) -> pd.DataFrame:
    """Read `fname,labels[,difficult][,group][,is_valid][,split]`.

    Args:
        path: the csv file.
        label_separator: stands between labels in a cell, and between difficult ones.
        complain: what is done about a row that cannot be used.

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
        raise ConfigError("data.label_separator is empty. Name what stands between labels, such as ' ' or ';'.")
    table = read_csv(path, ["fname", "labels"], complain)
    if "split" in table.columns:
        check_split(path, table, complain)
    for column in LABEL_COLUMNS:
        if column not in table.columns:
            continue
        labels_of = {cell: _labels(cell, label_separator) for cell in table[column].unique()}
        table[column] = [labels_of[cell] for cell in table[column]]
        for row, labels in enumerate(table[column]):
            if len(set(labels)) != len(labels):
                twice = next(label for label in labels if labels.count(label) > 1)
                where = cell_at(path, row, column)
                complain(row, TableError(f"{where}: the label {twice!r} stands twice. Keep one of them."))
    return table


def require_one_label(table: pd.DataFrame, rows: NDArray[np.int64], path: Path) -> None:
    """Raise TableError at the first of `rows` that has not exactly one label, or where labels may be difficult."""
    if "difficult" in table.columns:
        raise TableError(
            f"{path}: row 1: cross-entropy knows no difficult labels. Take the column 'difficult' out, or train with "
            "--model.loss bce."
        )
    for row, labels in zip(rows, table["labels"].iloc[rows], strict=True):
        if len(labels) != 1:
            raise TableError(
                f"{cell_at(path, int(row), 'labels')}: {len(labels) or 'no'} label{'s' * (len(labels) != 1)}; "
                "cross-entropy wants exactly one a picture. Correct the row, or train with --model.loss bce."
            )


def build_vocab(labels: Iterable[Sequence[str]]) -> list[str]:
    """Return the union of all labels, sorted."""
    return sorted({label for row in labels for label in row})


def encode_labels(
    table: pd.DataFrame, rows: NDArray[np.int64], vocab: Sequence[str], source: Path, difficult: float
) -> NDArray[np.float32]:
    """Return the labels of `rows` as (len(rows), len(vocab)) float32, 1 where the picture has the label.

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
    close = difflib.get_close_matches(label, vocab, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    labels = f"the {len(vocab)} labels of {'the vocabulary' if given else 'the training split'}"
    return f"{cell_at(source, row, column)}: the label {label!r} is not among {labels}.{hint}"


def _labels(cell: str, separator: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in cell.split(separator) if part.strip())
