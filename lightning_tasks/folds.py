"""The folder of a cross-validation.

In it are `fold_0`, `fold_1`, ...: each an ordinary run's, with what its model predicts of the fold that it never saw.
"""

import hashlib
import importlib
import re
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple

import torch

from lightning_tasks.atomic_write import put_whole
from lightning_tasks.errors import TORCH_FILE_ERRORS, CheckpointError, what_is_wrong
from lightning_tasks.filesystem import is_file, is_folder
from lightning_tasks.tasks.split_predictions import SplitPredictions
from lightning_tasks.training.run_paths import last_checkpoint

_PREDICTIONS = "fold_predictions.pt"
_UNREADABLE: tuple[type[Exception], ...] = (*TORCH_FILE_ERRORS, ImportError)


class Fold(NamedTuple):
    """A fold that was trained without and then predicted: `number` of `folds`."""

    number: int
    folds: int
    found: SplitPredictions  # `rows` are those of the table
    table: str | None = None  # the digest of the table's file
    best: tuple[str, float] | None = None  # what the run's best checkpoint scored: optimistic, as this fold chose it


def fold_folder(folder: Path, number: int) -> Path:
    """Return the folder of a fold's run in that of a cross-validation."""
    return folder / f"fold_{number}"


def is_crossval(folder: Path) -> bool:
    """Return whether a cross-validation's runs lie in a folder."""
    return is_folder(fold_folder(folder, 0))


def table_digest(path: Path) -> str | None:
    """Return the digest of a table's file; None: it is made of many."""
    if not is_file(path):
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save_fold(folder: Path, fold: Fold) -> None:
    """Keep what a fold's run in a cross-validation's `folder` predicts of it. From here on the fold is finished.

    Raises:
        CheckpointError: it cannot be written.
    """
    found = fold.found
    stored = {field.name: _plain(getattr(found, field.name)) for field in fields(found)}
    content = {
        "class": [type(found).__module__, type(found).__qualname__],
        "fields": stored,
        "fold": fold.number,
        "folds": fold.folds,
        "table": fold.table,
        "best": fold.best,
    }
    path = fold_folder(folder, fold.number) / _PREDICTIONS
    try:
        put_whole(path, lambda new: torch.save(content, new))
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or what_is_wrong(error)
        raise CheckpointError(f"{path} cannot be written ({reason}). Make room, then resume.") from error


def read_fold(folder: Path, number: int) -> Fold | None:
    """Return a fold of the cross-validation in `folder`; None: it is not finished.

    Raises:
        CheckpointError: its file cannot be read.
    """
    path = fold_folder(folder, number) / _PREDICTIONS
    if not is_file(path):
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        module, name = content["class"]
        kind = getattr(importlib.import_module(module), name)
        if not (isinstance(kind, type) and issubclass(kind, SplitPredictions)):
            raise UnpicklingError(f"{name} holds no predictions")
        values = {field: _with_paths(value) for field, value in content["fields"].items()}
        best = content["best"]
        found = kind(**values)
        return Fold(content["fold"], content["folds"], found, content["table"], None if best is None else tuple(best))
    except _UNREADABLE as error:
        raise CheckpointError(
            f"{path} cannot be read ({what_is_wrong(error)}). Remove it; crossval --ckpt_path last predicts it again."
        ) from error


def read_folds(folder: Path) -> list[Fold]:
    """Return all folds of the cross-validation in `folder`.

    Raises:
        CheckpointError: it is none, or not finished.
    """
    if not is_crossval(folder):
        raise CheckpointError(f"{folder} is no cross-validation's folder: there is no fold_0 in it.")
    folds = {number: fold for number in _numbers(folder) if (fold := read_fold(folder, number)) is not None}
    wanted = max((fold.folds for fold in folds.values()), default=1)
    missing = next((number for number in range(wanted) if number not in folds), None)
    if missing is not None:
        raise CheckpointError(
            f"{folder} is not finished: fold {missing} is not trained yet. Give the crossval command again with "
            "--ckpt_path last."
        )
    return [folds[number] for number in range(wanted)]


def fold_checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints that a finished cross-validation's scores are of: each fold's `last.ckpt`.

    Raises:
        CheckpointError: it is not finished.
    """
    return [last_checkpoint(fold_folder(folder, fold.number)) for fold in read_folds(folder)]


def read_out_of_fold(folder: Path) -> SplitPredictions:
    """Return what each image of a finished cross-validation was predicted by the one model that had not seen it.

    In the table's order; `rows` are those of the table (from 0, without its header). Neither data nor models are read.

    Raises:
        CheckpointError: the folder is of no cross-validation, or that is not finished.
    """
    return out_of_fold(read_folds(folder))[0]


def out_of_fold(folds: Sequence[Fold]) -> tuple[SplitPredictions, list[int]]:
    """Return the predictions of all folds in the table's order, and the fold (N) that each image is of."""
    together = type(folds[0].found).concatenate([fold.found for fold in folds])
    numbers = torch.cat([torch.full((len(fold.found.rows),), fold.number) for fold in folds])
    order = together.rows.argsort(stable=True)
    return together.take(order), numbers[order].tolist()


def with_table_rows(found: SplitPredictions, table_rows: Sequence[int]) -> SplitPredictions:
    """Return predictions whose `rows` are those of the table, by the table's row of each of the split's samples."""
    return replace(found, rows=torch.as_tensor(table_rows, dtype=torch.int64)[found.rows])


def _numbers(folder: Path) -> list[int]:
    """Return the numbers of the folds that there are folders of."""
    return [int(found[1]) for path in folder.iterdir() if (found := re.fullmatch(r"fold_(\d+)", path.name))]


def _plain(value: Any) -> Any:  # noqa: ANN401 - a field of any kind
    """Return a field as a checkpoint may hold it: a path as its text, in a list by which it is known."""
    if isinstance(value, Path):
        return {"path": str(value)}
    if isinstance(value, tuple):
        return tuple(_plain(entry) for entry in value)
    return value.clone() if isinstance(value, torch.Tensor) else value  # expanded ones, or parts of others, as they are


def _with_paths(value: Any) -> Any:  # noqa: ANN401 - likewise
    if isinstance(value, dict):
        return Path(value["path"])
    return tuple(_with_paths(entry) for entry in value) if isinstance(value, tuple) else value
