"""A config for somebody's own table of labels."""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd

from lightning_tasks.data.tables.label_cells import AUTO, BLANK
from lightning_tasks.data.tables.table_checks import TaskColumns, raise_or_warn
from lightning_tasks.errors import TableError
from lightning_tasks.tasks.config_draft import ConfigDraft, OwnTable, describe_columns
from lightning_tasks.tasks.multilabel.label_doubts import guess_separator, separator_problems
from lightning_tasks.tasks.multilabel.recipe import label_recipe
from lightning_tasks.tasks.multilabel.table import (
    FEW,
    LABEL_COLUMNS,
    build_vocab,
    checked_vocab,
    read_multilabel_table,
    unknown_labels,
)
from lightning_tasks.tasks.recipe import Setting, training_rows

_LABELS_LISTED = 100  # in a config's comments
_RARE = 0.1  # a share of the images


def draft_any_number(own: OwnTable) -> ConfigDraft:
    """Return what a config says of a table whose images have any number of labels each.

    Raises:
        LightningTasksError: the table cannot be used.
    """
    draft = draft_label_config(own)
    if own.wishes.preset != "fastai":  # whose chapter has the model's own threshold
        why = (
            "predicted where more probable; mAP does not depend on it. `lightning-tasks thresholds` chooses better ones"
        )
        draft.recipe.model["threshold"] = Setting(0.5, why)
    return draft


def draft_label_config(own: OwnTable) -> ConfigDraft:
    """Return what a config says of any table with labels; raises as `draft_any_number` does."""
    rows, separator = read_own(own)
    vocab = build_vocab(rows["labels"])
    if not vocab:
        raise TableError(f"{own.path}: no image has a label. Fill the column 'labels'.")
    _require_known(own, rows)
    columns = describe_columns(own.path, rows, TaskColumns(LABEL_COLUMNS))
    if "difficult" in rows.columns:
        columns.append("labels in the column difficult count neither in the loss nor in the scores")
    recipe = label_recipe(own.wishes, training_rows(rows), own.size)
    if own.wishes.preset != "fastai":
        recipe.data.update(_of_rare_labels(rows["labels"]))
    return ConfigDraft(
        {"label_separator": separator, **({} if own.vocab is None else {"vocab": own.vocab})},
        {"csv": columns, "label_separator": _describe_vocab(vocab, rows["labels"])},
        recipe,
    )


def _of_rare_labels(cells: "pd.Series[Any]") -> dict[str, Setting]:
    """Return the option that shows images of rare labels more often, off, where there are rare ones."""
    rarest = min(Counter(chain.from_iterable(cells)).values()) / len(cells)
    if rarest >= _RARE:
        return {}
    why = f"{_RARE:g} shows images of labels that fewer have (the rarest: {rarest:.2%}) more often: README, Rare labels"
    return {"oversample_threshold": Setting(0.0, why)}


def _require_known(own: OwnTable, rows: pd.DataFrame) -> None:
    """Raise TableError where rows have labels that are not among those that the owner names as all."""
    if (named := checked_vocab(own.vocab)) is not None:
        raise_or_warn(unknown_labels(rows, np.arange(len(rows)), np.arange(0), own.path, named, None))


@lru_cache(maxsize=1)  # two tasks look at it, and it may have a million rows
def read_own(own: OwnTable) -> tuple[pd.DataFrame, str]:
    """Return the checked rows, and what stands between their labels; raises as `draft_any_number` does."""
    path, separator, known = own.path, own.label_separator, checked_vocab(own.vocab) or ()
    rows = read_multilabel_table(path, separator, vocab=known)
    asked = separator
    if separator == AUTO:
        separator = guess_separator(path)
        if separator != BLANK:
            rows = read_multilabel_table(path, separator, vocab=known)
        asked = AUTO if separator == BLANK else separator  # nobody chose the blank
    raise_or_warn(separator_problems(path, asked))
    return rows, separator


def has_one_each(own: OwnTable) -> bool:
    """Return whether each image has exactly one of several labels; raises as `draft_any_number` does."""
    rows = read_own(own)[0]
    cells = rows["labels"]
    return "difficult" not in rows.columns and bool((cells.map(len) == 1).all()) and cells.nunique() > 1


def _describe_vocab(vocab: Sequence[str], cells: "pd.Series[Any]") -> list[str]:
    counts = Counter(chain.from_iterable(cells))
    lines = [f"{len(vocab):,} labels, {counts.total() / len(cells):.2f} an image:"]
    lines += [f"  {label}: {counts[label]:,}{'  (few)' * (counts[label] < FEW)}" for label in vocab[:_LABELS_LISTED]]
    return lines + ([f"  and {len(vocab) - _LABELS_LISTED:,} more"] if len(vocab) > _LABELS_LISTED else [])
