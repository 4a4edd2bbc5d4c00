"""Was a checkpoint trained on images that are for validation now? Then it repeats what it was told of them."""

import contextlib
import copy
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lightning_tasks.errors import LightningTasksError
from lightning_tasks.filesystem import expand_path

if TYPE_CHECKING:
    from lightning_tasks.data.checked_tables import CheckedTables
    from lightning_tasks.data.tables.splits import Rows

_OF_SPLIT = ("fold", "folds", "valid_fraction", "split_seed", "stratify", "validation_sequences", "train_on_valid")
_READ = ("located", "table", "split")  # what follows from these, once it was asked for


def trained_on_valid(data: "CheckedTables", stored: Mapping[str, Any]) -> str | None:
    """Return how many of the rows for validation a checkpoint was trained on, and why; None: on none, or not known.

    It is known of the table that it was trained on, where no splitter decides: its split is drawn again.

    Args:
        data: what is scored.
        stored: the settings of the data that the checkpoint was trained on.
    """
    if data.splitter is not None or not _is_same_table(data, stored):
        return None
    now = data.hparams
    others = {name: stored[name] for name in _OF_SPLIT if name in now and stored.get(name, now[name]) != now[name]}
    if not others and not data.train_on_valid:
        return None
    trained = valid = np.empty(0, dtype=np.int64)
    with contextlib.suppress(LightningTasksError):  # that of another table of its name: it cannot be split so
        valid = data.split[1]
        trained = np.intersect1d(_split_by(data, others)[0], valid)
    if not len(trained):
        return None
    told = ", ".join(f"data.{name} was {value} and is {now[name]}" for name, value in others.items())
    return f"{len(trained):,} of the {len(valid):,} rows for validation ({told or 'data.train_on_valid'})"


def _split_by(data: "CheckedTables", settings: Mapping[str, Any]) -> "tuple[Rows, Rows]":
    """Return the rows of training and validation as other settings split the same table."""
    other = copy.copy(data)
    for name in _READ:
        other.__dict__.pop(name, None)
    for name, value in settings.items():
        setattr(other, name, value)
    return other.split


def _is_same_table(data: "CheckedTables", stored: Mapping[str, Any]) -> bool:
    """Return whether a table of stored settings is called, or lies, as that of the data."""
    root, csv = stored.get("root"), stored.get("csv", data.hparams.get("csv"))
    if csv == data.hparams.get("csv"):
        return True
    with contextlib.suppress(LightningTasksError, TypeError, OSError):
        return Path(expand_path(str(root)), str(csv)).resolve() == data.csv.resolve()
    return False
