"""The tables that are trained on: somebody's, cut short if asked for, or drawn ones."""

import csv
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from benchmarking.case import Task
from lightning_tasks import BiwiDataModule
from lightning_tasks.errors import TableError
from lightning_tasks.tasks.keypoints.sample import draw_biwi
from lightning_tasks.tasks.multilabel.pascal import draw_pascal

_DRAWN = 400  # images, where nobody says how many
_SEQUENCES = 8  # of a drawn BIWI, one of which is for validation


class Table(NamedTuple):
    """Where images are."""

    csv: Path
    images: Path


def table_of(task: Task, root: Path | None, images: int | None, folder: Path) -> Table:
    """Return a table of the data in `root`, or of a drawn sample.

    Args:
        task: labels or points.
        root: PASCAL's folder, or one with `points.csv`; None: draw a sample in `folder`.
        images: at most this many for training, and for validation; None: all.
        folder: where a new table goes, and drawn images. Those of `root` stay where they are.

    Raises:
        TableError: the table cannot be cut.
    """
    if task == "labels":
        whole = _drawn_labels(images, folder) if root is None else Table(root / "train.csv", root / "train")
    else:
        whole = _drawn_points(images, folder) if root is None else Table(root / "points.csv", root)
    if images is None:
        return whole
    short = Table(folder / f"{task}.csv", whole.images)
    cut_csv(whole.csv, short.csv, images)
    return short


def cut_csv(source: Path, target: Path, images: int) -> None:
    """Write the first `images` rows for training and those for validation, as they stand in `source`.

    Rows for validation are passed over where they have a label that the shortened training half does not.

    Raises:
        TableError: there is no column `is_valid`, or one of the halves would be empty.
    """
    with source.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        columns, rows = list(reader.fieldnames or ()), list(reader)
    if "is_valid" not in columns:
        raise TableError(f"{source}: there is no column 'is_valid', by which --images takes some of each half.")
    train = [row for row in rows if not _is_valid(row)][:images]
    known = {label for row in train for label in row.get("labels", "").split()}
    valid = [row for row in rows if _is_valid(row) and set(row.get("labels", "").split()) <= known][:images]
    if not train or not valid:
        raise TableError(f"{source}: {len(train)} rows for training and {len(valid)} for validation; each needs some.")
    kept = {id(row) for row in (*train, *valid)}
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(row for row in rows if id(row) in kept)


def _is_valid(row: dict[str, str]) -> bool:
    return row["is_valid"].strip().lower() in ("true", "1")


def _drawn_labels(images: int | None, folder: Path) -> Table:
    root = folder / "pascal_sample"
    draw_pascal(root, _DRAWN if images is None else 4 * images)  # a quarter is for validation
    return Table(root / "train.csv", root / "train")


def _drawn_points(images: int | None, folder: Path) -> Table:
    root = folder / "biwi_sample"
    draw_biwi(root, _DRAWN // _SEQUENCES if images is None else images)
    table: pd.DataFrame = BiwiDataModule(str(root), label_frame="calibrated").table
    path = folder / "biwi_sample.csv"
    table[["fname", "is_valid", "head_x", "head_y"]].to_csv(path, index=False)
    return Table(path, root)
