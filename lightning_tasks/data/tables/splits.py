"""From a table to training and validation rows, by its columns `split` and `is_valid` or by lot.

Groups (people, say), and the rows of one image, are never on both sides of a drawn split. Where it is known which
classes rows have, each side gets its share of them: see `stratify.py`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightning_tasks.data.tables.csv_table import OnError, cell_at, first_row
from lightning_tasks.data.tables.stratify import TRAINING, Strata, find_alone, stratify
from lightning_tasks.errors import ConfigError, TableError

Rows = NDArray[np.int64]
FILE = "_file"  # a column: the first row, from 0, with the same file
Splitter = Callable[[pd.DataFrame], tuple[Sequence[int] | Rows, Sequence[int] | Rows]]

_PART_OF = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "valid"),
    **dict.fromkeys(("test", "testing"), "test"),
}


def check_split(path: Path, table: pd.DataFrame, on_error: OnError) -> None:
    """Check a table's column `split`, and mark the rows for validation in `is_valid`, in place.

    Where no row is for validation there is no `is_valid` either: validation is then drawn.

    Raises:
        TableError: from `on_error`, at an unknown word, or where `is_valid` says otherwise.
    """
    parts = _parts(table["split"])
    for row in np.flatnonzero(parts.isna()):
        what = f"{cell_at(path, int(row), 'split')}: {table['split'].iloc[row]!r} is none of train, val and test"
        way_out = "Write one of them; or give the column another name if it says something else."
        on_error(int(row), TableError(f"{what}. {way_out}"))
    for_validation = (parts == "valid").to_numpy()
    if "is_valid" not in table.columns:
        if for_validation.any():
            table["is_valid"] = for_validation
        return
    for row in np.flatnonzero((table["is_valid"].to_numpy() != for_validation) & parts.notna().to_numpy()):
        where = f"{path}: row {row + first_row(path)}, columns 'split' and 'is_valid'"
        what = f"{table['split'].iloc[row]!r} and {table['is_valid'].iloc[row]} contradict each other"
        on_error(int(row), TableError(f"{where}: {what}. Correct one of them, or take one column out."))


def marked_test(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which rows the column `split` marks for testing (N,); none where there is no such column."""
    if "split" not in table.columns:
        return np.zeros(len(table), dtype=bool)
    return np.asarray(_parts(table["split"]) == "test")


def _parts(cells: "pd.Series[str]") -> "pd.Series[str]":
    return cells.str.strip().str.lower().map(_PART_OF)


def split_table(
    table: pd.DataFrame,
    source: str,
    *,
    splitter: Splitter | None = None,
    fold: int | None = None,
    folds: int = 5,
    valid_fraction: float = 0.2,
    seed: int = 42,
    strata: Strata | None = None,
) -> tuple[Rows, Rows]:
    """Return the training and the validation rows of `table`, each sorted.

    The first of these that applies decides: `splitter`; `fold` (k-fold, by group where there is one; rows that the
    column `is_valid` marks stay out of all folds, for a last report); the column `is_valid`; a drawn share. Rows that
    the column `split` marks for testing are on neither side, but where the splitter says so.

    Where `strata` says which classes the table's rows have, each side of a drawn split gets its share of each; what is
    alone with a class is on the training side, of every fold.

    Raises:
        ConfigError: fold or valid_fraction is out of its range, or the splitter returned rows that cannot be.
        TableError: one side would be empty, or there are fewer groups than folds.
    """
    rows = np.flatnonzero(~marked_test(table))
    if splitter is not None:
        train, valid = _check_split(splitter(table), len(table))
        way_out = "It is the splitter that chose so."
    elif fold is not None:
        train, valid = _k_fold(table, rows, source, fold, folds, seed, strata)
        way_out = "Set data.folds lower."
        if strata is not None:
            way_out += " What is alone with one of its labels stays in training, unless data.stratify is false."
    elif "is_valid" in table.columns:
        marked = table["is_valid"].to_numpy(dtype=bool)[rows]
        train, valid = rows[~marked], rows[marked]
        column = "split" if "split" in table.columns else "is_valid"
        way_out = f"Mark some rows in the column {column!r}, not all; without that column a share of the rows is drawn."
    elif not len(rows):
        train, valid = rows, rows
        way_out = "All are marked test in the column 'split'."
    else:
        train, valid = _draw_split(table, rows, valid_fraction, seed, strata)
        way_out = f"There is only one {'group' if 'group' in table.columns else 'image'}, which is not split: add more."
    for name, part in (("training", train), ("validation", valid)):
        if not len(part):
            raise TableError(f"{source}: no row is left for {name}. {way_out}")
    return train, valid


def _check_split(split: tuple[Sequence[int] | Rows, Sequence[int] | Rows], n: int) -> tuple[Rows, Rows]:
    train, valid = (np.unique(np.asarray(rows, dtype=np.int64)) for rows in split)
    both = np.concatenate([train, valid])
    outside = both[(both < 0) | (both >= n)]
    if len(outside):
        raise ConfigError(f"The splitter returned row {outside[0]}, but rows go from 0 to {n - 1}.")
    if len(np.unique(both)) != len(both):
        raise ConfigError("The splitter put a row into both training and validation. Keep it in one.")
    return train, valid


def _unit_ids(table: pd.DataFrame, rows: Rows) -> Rows:
    """Return the number of what each of the rows may not be split from: its group, or its image."""
    column = next((name for name in ("group", FILE) if name in table.columns), None)
    if column is None or not len(rows):
        return np.arange(len(rows))
    return np.unique(table[column].to_numpy()[rows], return_inverse=True)[1].reshape(-1)


def _unit_strata(ids: Rows, rows: Rows, strata: Strata) -> Strata:
    """Return the classes of units, a pair for each of their rows."""
    place = np.full(max(int(rows.max()), int(strata[:, 0].max(initial=0))) + 1, -1)
    place[rows] = ids
    units = place[strata[:, 0]]
    return np.column_stack([units, strata[:, 1]])[units >= 0]


def deal_folds(
    table: pd.DataFrame,
    rows: Rows,
    folds: int,
    seed: int,
    strata: Strata | None,
    source: str,
    way_out: str = "Take fewer folds.",
) -> Rows:
    """Return which fold, from 0 on, holds each of `rows` out (N,); -1: none does, it trains in every one.

    Groups, and the rows of one image, lie in one fold whole. `strata` says which classes the table's rows have: each
    fold gets its share of each, and what is alone with a class trains in every one.

    Raises:
        ConfigError: there are to be fewer than two folds.
        TableError: there are fewer groups than folds.
    """
    if folds < 2:
        raise ConfigError(f"{folds} folds: there must be 2 or more.")
    ids = _unit_ids(table, rows)
    n = int(ids.max(initial=-1)) + 1
    if n < folds:
        raise TableError(f"{source}: {n} groups (or rows) cannot make {folds} folds. {way_out}")
    if strata is not None:
        classes = _unit_strata(ids, rows, strata)
        dealt = int((~np.isin(ids, find_alone(classes))).sum())
        wanted = [dealt // folds + (i < dealt % folds) for i in range(folds)]
        return np.asarray(stratify(np.bincount(ids), classes, [0, *wanted], seed)[ids] - 1)
    unit_sizes = np.bincount(ids)
    order = np.random.default_rng(seed).permutation(n)
    # Largest first into the emptiest fold keeps the folds' sizes close; the permutation breaks ties.
    fold_of_unit, sizes = np.zeros(n, dtype=np.int64), np.zeros(folds, dtype=np.int64)
    for unit in sorted(order, key=lambda unit: -unit_sizes[unit]):
        emptiest = int(sizes.argmin())
        fold_of_unit[unit] = emptiest
        sizes[emptiest] += unit_sizes[unit]
    return fold_of_unit[ids]


def _k_fold(
    table: pd.DataFrame, rows: Rows, source: str, fold: int, folds: int, seed: int, strata: Strata | None
) -> tuple[Rows, Rows]:
    if folds < 2 or not 0 <= fold < folds:
        raise ConfigError(f"fold {fold} of {folds} folds: folds must be 2 or more, and fold from 0 to folds - 1.")
    if "is_valid" in table.columns:
        rows = rows[~table["is_valid"].to_numpy(dtype=bool)[rows]]
    fold_of_row = deal_folds(table, rows, folds, seed, strata, source, "Set data.folds lower.")
    return rows[fold_of_row != fold], rows[fold_of_row == fold]


def _draw_split(
    table: pd.DataFrame, rows: Rows, valid_fraction: float, seed: int, strata: Strata | None
) -> tuple[Rows, Rows]:
    if not 0 < valid_fraction < 1:
        raise ConfigError(f"valid_fraction is {valid_fraction}; it must lie between 0 and 1.")
    ids, wanted = _unit_ids(table, rows), valid_fraction * len(rows)
    sizes, movable = np.bincount(ids), np.unique(ids)
    if strata is None:
        is_held_out = np.isin(ids, _take_units(sizes.tolist(), wanted, seed))
    else:
        n = min(max(int(wanted + 0.5), 1), len(rows))
        classes = _unit_strata(ids, rows, strata)
        is_held_out = stratify(sizes, classes, [len(rows) - n, n], seed)[ids] != TRAINING
        free = np.setdiff1d(movable, find_alone(classes))
        movable = free if len(free) else movable
    if len(sizes) > 1 and (is_held_out.all() or not is_held_out.any()):
        is_held_out[ids == movable[sizes[movable].argmin()]] ^= True
    return rows[~is_held_out], rows[is_held_out]


def _take_units(sizes: Sequence[int], wanted: float, seed: int) -> list[int]:
    """Return units by lot, as long as each brings their rows closer to as many as wanted, and one is left."""
    taken: list[int] = []
    held = 0
    for unit in np.random.default_rng(seed).permutation(len(sizes)).tolist():
        if len(taken) < len(sizes) - 1 and abs(held + sizes[unit] - wanted) <= abs(held - wanted):
            taken.append(unit)
            held += sizes[unit]
    return taken


def count_images(table: pd.DataFrame) -> str:
    """Return how many images a table is of, and how many rows they have where these are more."""
    n = table[FILE].nunique()
    return f"{n:,} images" + f" in {len(table):,} rows" * (n < len(table))


def describe_counts(root: Path, table: pd.DataFrame, split: tuple[Rows, Rows]) -> str:
    """Return where the data set is, and how many images each split has."""
    train, valid = (table[FILE].iloc[rows].nunique() for rows in split)
    test = int(marked_test(table).sum())
    counts = f"{count_images(table)}, {train:,} training, {valid:,} validation"
    return f"{root}: {counts}" + (f", {test:,} marked test (they stay out)" if test else "")
