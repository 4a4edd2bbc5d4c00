"""The table of images with labels, and what is wrong with its labels as a whole."""

import difflib
import functools
import json
import shlex
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightning_tasks.data.tables.cells import normalize, stands_for_nothing
from lightning_tasks.data.tables.csv_table import OnError, cell_at, quote, raise_error, read_csv, shorten
from lightning_tasks.data.tables.label_cells import AUTO, WHOLE, split_cell
from lightning_tasks.data.tables.splits import Rows, check_split
from lightning_tasks.data.tables.stratify import Strata
from lightning_tasks.data.tables.table_checks import Problem
from lightning_tasks.errors import ConfigError, TableError

LABEL_COLUMNS = ("labels", "difficult")  # beside those of any task
FEW = 10  # training images of a label
_OPTION_LENGTH = 300  # a longer list of labels is not written out


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
    for column in [name for name in LABEL_COLUMNS if name in table.columns]:
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
    twice = next((label for label, n in Counter(labels).items() if n > 1), None)
    return labels, "" if twice is None else f"the label {twice!r} stands twice. Keep one of them."


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
    for column, value in {"labels": 1.0, "difficult": difficult}.items():
        cells = table[column].tolist() if column in table.columns else [()] * len(table)
        for i, row in enumerate(rows):
            for label in cells[row]:
                if label not in position:
                    message = unknown_label(source, int(row), column, label, vocab, given=True)
                    raise TableError(f"{message} Correct it, or train a model that knows it.")
                targets[i, position[label]] = value
    return targets


def label_strata(table: pd.DataFrame) -> Strata:
    """Return which labels rows have, but for difficult ones; a label that has no others is taken with these."""
    position = {label: i for i, label in enumerate(build_vocab(table["labels"]))}
    pairs = _rows_and_labels(table["labels"], position)
    if "difficult" not in table.columns:
        return pairs
    hard = _rows_and_labels(table["difficult"], position)
    n = len(position) + 1
    is_hard = np.isin(pairs @ (n, 1), hard @ (n, 1))
    return pairs[~is_hard | ~np.isin(pairs[:, 1], pairs[~is_hard, 1])]


def _rows_and_labels(cells: "pd.Series[Any]", position: Mapping[str, int]) -> Strata:
    rows = np.repeat(np.arange(len(cells)), [len(cell) for cell in cells])
    labels = (position.get(label, len(position)) for cell in cells for label in cell)
    return np.column_stack([rows, np.fromiter(labels, np.int64, len(rows))])


def unknown_label(source: Path, row: int, column: str, label: str, vocab: Sequence[str], *, given: bool) -> str:
    """Return what is said of a label that is not in `vocab`; `given`: it was not read off the training split."""
    hint = _hint(label, tuple(vocab))
    labels = f"the {len(vocab)} labels of {'the vocabulary' if given else 'the training split'}"
    return f"{cell_at(source, row, column)}: the label {label!r} is not among {labels}.{hint}"


@functools.lru_cache  # a label may be unknown in each of many rows
def _hint(label: str, vocab: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(label, vocab, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def unknown_labels(
    table: pd.DataFrame, train: Rows, valid: Rows, source: Path, given_vocab: Sequence[str] | None, drawn: str | None
) -> list[Problem]:
    """Return the labels that a row has and the vocabulary has not, each an error.

    Without `given_vocab` it is the labels of the training rows. `drawn`: how the split was drawn by lot; None: the user
    chose it.
    """
    vocab = list(given_vocab or build_vocab(table["labels"].iloc[train]))
    known, problems = set(vocab), []
    for column in [name for name in LABEL_COLUMNS if name in table.columns]:
        cells = table[column].to_numpy()
        strange = {cell for cell in set(cells) if not known.issuperset(cell)}  # of a million cells few differ
        if not strange:
            continue
        way_out = _way_out(table, given_vocab, drawn)
        for row in (int(row) for row in np.concatenate([train, valid]) if cells[row] in strange):
            for label in dict.fromkeys(cells[row]):
                if label not in known:
                    message = unknown_label(source, row, column, label, vocab, given=given_vocab is not None)
                    problems.append(Problem("label", message, row, True, way_out))
    return problems


def _way_out(table: pd.DataFrame, given_vocab: Sequence[str] | None, drawn: str | None) -> str:
    if given_vocab is not None:
        return "Correct it, or add it to data.vocab (for init, --vocab)."
    labels = chain(table["labels"], table["difficult"] if "difficult" in table.columns else ())
    option = f"--data.vocab {shlex.quote(json.dumps(build_vocab(labels), ensure_ascii=False))}"
    names_all = option if len(option) <= _OPTION_LENGTH else "--data.vocab with the names of all labels"
    if drawn is None:
        return f"Correct it, put an image with it into the training split, or keep the label with {names_all}."
    return (
        f"Correct it; or, as {drawn} and left it out of training: {names_all} keeps the label, another "
        "--data.split_seed draws another split, and a column is_valid says which rows are for validation."
    )


def few_positives(
    table: pd.DataFrame, train: Rows, given_vocab: Sequence[str] | None, min_positives: int
) -> list[Problem]:
    """Return the labels that fewer than `min_positives` training images have, or all: each a doubt.

    Difficult ones have it not, and are not of all.
    """
    rows = table.iloc[train]
    counts, masked = Counter(chain.from_iterable(rows["labels"])), Counter[str]()
    if "difficult" in table.columns:
        masked.update(chain.from_iterable(rows["difficult"]))
        for labels, difficult in zip(rows["labels"], rows["difficult"], strict=True):
            counts.subtract(set(labels).intersection(difficult))
    few = [
        Problem("few", f"label {label!r} has {counts[label]} training images", way_out="Its scores say little.")
        for label in sorted(set(counts) | set(given_vocab or ()))
        if counts[label] < min_positives
    ]
    way_out = "There is nothing to learn, and its scores say nothing: leave it out, or add images without it."
    return few + [
        Problem("constant", f"label {label!r}: all {n:,} training images have it", way_out=way_out)
        for label, n in sorted(counts.items())
        if n >= FEW and n == len(rows) - masked[label]
    ]


def alike_labels(table: pd.DataFrame, rows: Rows, source: Path, given_vocab: Sequence[str] | None) -> list[Problem]:
    """Return the labels of rows that differ in case or in width alone, or in `_` for a blank, each pair a doubt.

    Those of `given_vocab` are meant to be what they are.
    """
    labels = set(chain.from_iterable(set(table["labels"].iloc[rows]))).difference(given_vocab or ())
    alike: dict[str, list[str]] = {}
    for label in sorted(labels):
        alike.setdefault(unicodedata.normalize("NFKC", label).casefold().replace("_", " "), []).append(label)
    way_out = "If they are one, write them alike; if not, name all labels with --data.vocab."
    groups = [quote(spellings) for spellings in alike.values() if len(spellings) > 1]
    what = "are nearly alike, and different labels"
    return [Problem("alike", f"{source}: column 'labels': {group} {what}", way_out=way_out) for group in groups]


def nothing_counts(
    table: pd.DataFrame, splits: Mapping[str, Rows], source: Path, given_vocab: Sequence[str] | None
) -> list[Problem]:
    """Return the splits of which no label of any row counts, as all are difficult: an error of training, else a doubt.

    `splits` are rows by what they are for; without `given_vocab` it is the labels of the first.
    """
    if "difficult" not in table.columns:
        return []
    cells = table["difficult"].to_numpy()
    vocab = set(given_vocab or build_vocab(table["labels"].iloc[next(iter(splits.values()))]))
    way_out = "Take some out of the column 'difficult', or count them as absent with --data.difficult negative."
    problems = []
    for split, rows in splits.items():
        if len(rows) and vocab and all(vocab.issubset(cell) for cell in cells[rows]):
            message = f"{source}: all labels of all {len(rows):,} rows for {split} are difficult: none counts"
            problems.append(Problem("ignored", message, None, split == "training", way_out))
    return problems
