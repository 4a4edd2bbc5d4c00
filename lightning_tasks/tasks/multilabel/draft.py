"""A config for somebody's own table of labels."""

from collections import Counter
from pathlib import Path

from lightning_tasks.data.tables.table_checks import raise_or_warn
from lightning_tasks.data.tables.unused_columns import TaskColumns
from lightning_tasks.errors import ConfigError, TableError
from lightning_tasks.tasks.config_draft import ConfigDraft, OwnTable, describe_columns
from lightning_tasks.tasks.multilabel.label_cells import AUTO, BLANK
from lightning_tasks.tasks.multilabel.label_doubts import (
    SEPARATORS,
    asked_for,
    names_with_blanks,
    plain_cells,
    separator_problems,
)
from lightning_tasks.tasks.multilabel.table import LABEL_COLUMNS, build_vocab, checked_vocab, read_multilabel_table

_FEW = 10  # positives of a label
_LABELS_LISTED = 100


def draft_labels(own: OwnTable) -> ConfigDraft:
    """Return what a config says of a table with labels.

    Raises:
        LightningTasksError: the table cannot be used.
    """
    path, separator, known = own.path, own.label_separator, checked_vocab(own.vocab) or ()
    table = read_multilabel_table(path, separator, vocab=known)
    asked = separator
    if separator == AUTO:
        separator = _guess_separator(path)
        table = read_multilabel_table(path, separator, vocab=known)
        asked = AUTO if separator == BLANK else separator  # nobody chose the blank
    raise_or_warn(separator_problems(path, asked))
    counts = Counter(label for labels in table["labels"] for label in labels)
    vocab = build_vocab(table["labels"])
    if not vocab:
        raise TableError(f"{path}: no image has a label. Fill the column 'labels'.")
    lines = [f"{len(vocab):,} labels, {counts.total() / len(table):.2f} an image:"]
    lines += [
        f"  {label}: {counts[label]:,}" + ("  (few)" if counts[label] < _FEW else "")
        for label in vocab[:_LABELS_LISTED]
    ]
    lines += [f"  and {len(vocab) - _LABELS_LISTED:,} more"] if len(vocab) > _LABELS_LISTED else []
    if all(len(labels) == 1 for labels in table["labels"]) and len(vocab) > 1:
        lines.append("each image has exactly one: a MultiClassClassifier on a MultiClassDataModule trains a softmax")
    columns = describe_columns(path, table, TaskColumns(LABEL_COLUMNS))
    if "difficult" in table.columns:
        columns.append("labels in the column difficult count neither in the loss nor in the scores")
    given = {} if own.vocab is None else {"vocab": own.vocab}
    return ConfigDraft(
        {"label_separator": separator, **given, "size": 128},
        {"csv": columns, "label_separator": lines, "size": ["128 is fastai's; larger images cost time by their area"]},
    )


def _guess_separator(path: Path) -> str:
    """Return the separator that leaves the fewest different labels, and of equals the first.

    Raises:
        ConfigError: only blanks could be one, and they may be part of names.
    """
    cells = plain_cells(path)
    # A space may be part of a name: another separator goes before it.
    different = {
        separator: len({part.strip() for cell in cells for part in cell.split(separator) if part.strip()})
        for separator in SEPARATORS
        if separator != BLANK and any(separator in cell for cell in cells)
    }
    if different:
        return min(different, key=lambda separator: different[separator])
    names = names_with_blanks(cells)
    if names:
        raise ConfigError(f"{path}: column 'labels': {names} {asked_for('--label_separator')}")
    return BLANK
