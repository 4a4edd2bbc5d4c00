"""What is wrong with the labels of a table as a whole."""

import json
import shlex
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd

from lightning_tasks.data.tables.csv_table import quote
from lightning_tasks.data.tables.splits import Rows
from lightning_tasks.data.tables.table_checks import Problem
from lightning_tasks.tasks.multilabel.table import build_vocab, unknown_label

FEW = 10  # training images of a label
_OPTION_LENGTH = 300  # a longer list of labels is not written out


def unknown_labels(
    table: pd.DataFrame, train: Rows, valid: Rows, source: Path, given_vocab: Sequence[str] | None, drawn: str | None
) -> list[Problem]:
    """Return the labels that a row has and the vocabulary has not, each an error.

    Args:
        table: of labels.
        train: its rows for training.
        valid: and for validation.
        source: the table's file.
        given_vocab: the vocabulary; None: the labels of the training rows.
        drawn: how the split was drawn by lot; None: the user chose it.
    """
    vocab = list(given_vocab or build_vocab(table["labels"].iloc[train]))
    known, problems = set(vocab), []
    for column in [name for name in ("labels", "difficult") if name in table.columns]:
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
        return "Correct it, or add it to data.vocab."
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
    """Return the labels that fewer than `min_positives` training images have, each a doubt; difficult ones have not."""
    rows = table.iloc[train]
    counts = Counter(chain.from_iterable(rows["labels"]))
    if "difficult" in table.columns:
        for labels, difficult in zip(rows["labels"], rows["difficult"], strict=True):
            counts.subtract(set(labels).intersection(difficult))
    return [
        Problem("few", f"label {label!r} has {counts[label]} training images", way_out="Its scores say little.")
        for label in sorted(set(counts) | set(given_vocab or ()))
        if counts[label] < min_positives
    ]


def alike_labels(table: pd.DataFrame, rows: Rows, source: Path, given_vocab: Sequence[str] | None) -> list[Problem]:
    """Return the labels of rows that differ in case or in width alone, or in `_` for a blank, each pair a doubt.

    Args:
        table: of labels.
        rows: that count.
        source: the table's file.
        given_vocab: labels that somebody named: these are meant to be what they are.
    """
    labels = set(chain.from_iterable(set(table["labels"].iloc[rows]))).difference(given_vocab or ())
    alike: dict[str, list[str]] = {}
    for label in sorted(labels):
        alike.setdefault(unicodedata.normalize("NFKC", label).casefold().replace("_", " "), []).append(label)
    way_out = "If they are one, write them alike; if not, name all labels with --data.vocab."
    return [
        Problem(
            "alike",
            f"{source}: column 'labels': {quote(spellings)} are nearly alike, and different labels",
            None,
            way_out=way_out,
        )
        for spellings in alike.values()
        if len(spellings) > 1
    ]


def nothing_counts(
    table: pd.DataFrame, splits: Mapping[str, Rows], source: Path, vocab: Sequence[str]
) -> list[Problem]:
    """Return the splits of which no label of any row counts, as all are difficult: an error of training, else a doubt.

    Args:
        table: of labels.
        splits: rows by what they are for.
        source: the table's file.
        vocab: the labels.
    """
    if "difficult" not in table.columns:
        return []
    cells = table["difficult"].to_numpy()
    way_out = "Take some out of the column 'difficult', or count them as absent with --data.difficult negative."
    problems = []
    for split, rows in splits.items():
        if len(rows) and len(vocab) and all(set(vocab).issubset(cell) for cell in cells[rows]):
            message = f"{source}: all labels of all {len(rows):,} rows for {split} are difficult: none counts"
            problems.append(Problem("ignored", message, None, split == "training", way_out))
    return problems
