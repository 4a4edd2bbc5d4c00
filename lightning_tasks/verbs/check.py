"""Is there anything wrong with a data set? Reads every picture once, and complains of everything at once."""

import csv
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import imagehash
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image as Pillow
from tqdm import tqdm

from lightning_tasks.data import BiwiDataModule, KeypointDataModule, MultiLabelDataModule
from lightning_tasks.data.cores import usable_cores
from lightning_tasks.data.files import Confines
from lightning_tasks.data.images import read_image
from lightning_tasks.data.keypoint_table import point_names, point_positions
from lightning_tasks.data.splits import Rows
from lightning_tasks.data.table_checks import Problem
from lightning_tasks.data.tables import delimiter_of, encoding_of, first_row, read_cells
from lightning_tasks.errors import ImageError, TableError
from lightning_tasks.output import write_whole


class Seen(NamedTuple):
    """What one reading of a file tells."""

    error: str
    width: int
    height: int
    hash: int


def check(
    datamodule: MultiLabelDataModule | KeypointDataModule, min_positives: int = 10, max_distance: int = 4
) -> list[Problem]:
    """Return what is wrong, in the order of kinds below; nothing where all is well.

    cell: a row of the table that cannot be used. duplicate: a file that stands in the table before. picture: missing,
    unreadable or cut short. point: outside its picture. label: only in validation. group: on both sides of the split.
    near-duplicate: a training picture that looks like one of validation. few: a label with few positives.

    Args:
        datamodule: whose table and pictures are read.
        min_positives: fewer training pictures with a label are few.
        max_distance: bits of 64 in which the perceptual hashes of near-duplicates may differ.

    Raises:
        LightningTasksError: the table as a whole cannot be read.
    """
    problems: list[Problem] = []
    table = _table(datamodule, problems)
    problems += _duplicates(table, first_row(datamodule.csv))
    paths = [datamodule.images / name for name in table["fname"]]
    pictures = _read(paths)
    confines = Confines(datamodule.root, datamodule.images)
    for row, (path, picture) in enumerate(zip(paths, pictures, strict=True)):
        if not datamodule.allow_outside and not confines.hold(path):
            problems.append(Problem("picture", f"{_at(datamodule, row)}: {path} leads out of the data's folder", row))
        elif picture.error:
            problems.append(Problem("picture", f"{_at(datamodule, row)}: {picture.error}", row))
    if isinstance(datamodule, KeypointDataModule):
        problems += _points_outside(datamodule, table, pictures)

    bad = {problem.row for problem in problems}
    kept = np.array([row for row in range(len(table)) if row not in bad], dtype=np.int64)
    if not len(kept):
        return problems
    train, valid = (kept[part] for part in datamodule.split_of(table.iloc[kept].reset_index(drop=True)))
    if isinstance(datamodule, MultiLabelDataModule):
        if datamodule.train_on_valid:  # then no label stands in validation alone, and there is nothing to leak
            return problems + _labels(datamodule, table, np.union1d(train, valid), valid[:0], min_positives)
        problems += _labels(datamodule, table, train, valid, min_positives)
    if "group" in table.columns:
        shared = sorted(set(table["group"].iloc[train]) & set(table["group"].iloc[valid]))
        problems += [Problem("group", f"group {group!r} is on both sides of the split") for group in shared]
    return problems + _near_duplicates(datamodule, table, pictures, train, valid, max_distance)


def describe_problems(problems: Sequence[Problem]) -> str:
    """Return a line for each problem, and how many there are of each kind, for a person."""
    kinds = Counter(problem.kind for problem in problems)
    counts = ", ".join(f"{n:,} × {kind}" for kind, n in kinds.items()) if problems else "nothing is wrong"
    return "\n".join([*(f"{problem.kind:<14}  {problem.message}" for problem in problems), counts])


def write_without(problems: Sequence[Problem], source: Path, target: Path) -> str:
    """Write the table without the rows that have a problem; return what was done, for a person.

    The cells are the file's own, and so is what stands between them: what a comma means depends on it. The encoding is
    UTF-8, whatever it was.
    """
    header, *rows = read_cells(source)
    delimiter = delimiter_of(source)
    bad = {problem.row for problem in problems}
    kept = [cells for row, cells in enumerate(rows) if row not in bad]

    def write(new: Path) -> None:
        with new.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, delimiter=delimiter).writerows([header, *kept])

    write_whole(target, write)
    now = ", now in UTF-8" if encoding_of(source) != encoding_of(target) else ""
    return f"without {len(rows) - len(kept):,} rows{now}"


def _table(datamodule: MultiLabelDataModule | KeypointDataModule, problems: list[Problem]) -> pd.DataFrame:
    def note(row: int, error: TableError) -> None:
        if all(problem.row != row for problem in problems):  # what follows from the first mistake of a row is no news
            problems.append(Problem("cell", str(error), row))

    if isinstance(datamodule, BiwiDataModule):
        return datamodule.table  # of pose files: there is no csv with rows to leave out
    return datamodule.read_table(datamodule.csv, note)


def _duplicates(table: pd.DataFrame, top: int) -> list[Problem]:
    first: dict[str, int] = {}
    problems = []
    for row, name in enumerate(table["fname"]):
        if name in first:
            message = f"row {row + top}: {name} stands in row {first[name] + top} already"
            problems.append(Problem("duplicate", message, row))
        first.setdefault(name, row)
    return problems


def _read(paths: Sequence[Path]) -> list[Seen]:
    with ThreadPoolExecutor(usable_cores()) as pool:  # decoding leaves Python to the other threads
        return list(tqdm(pool.map(read_one, paths), total=len(paths), desc="reading", leave=False, disable=None))


def read_one(path: Path) -> Seen:
    """Read a file as training does, and return what it tells."""
    try:
        image = read_image(path)
    except ImageError as error:
        missing = isinstance(error.__cause__, FileNotFoundError)
        return Seen(f"there is no picture {path}" if missing else str(error), 0, 0, 0)
    height, width = image.shape[:2]
    return Seen("", width, height, int(str(imagehash.phash(Pillow.fromarray(image))), 16))


def _points_outside(datamodule: KeypointDataModule, table: pd.DataFrame, pictures: Sequence[Seen]) -> list[Problem]:
    problems = []
    positions, names = point_positions(table), point_names(table)
    sizes = np.array([(picture.width, picture.height) for picture in pictures])
    outside = ((positions < -0.5) | (positions > sizes[:, None] - 0.5)).any(-1)  # NaN is neither
    for row, point in zip(*np.nonzero(outside), strict=True):
        if pictures[row].error:
            continue
        x, y = positions[row, point]
        place = f"{names[point]} at ({x:g}, {y:g}) is outside the picture of {sizes[row][0]}×{sizes[row][1]} pixels"
        problems.append(Problem("point", f"{_at(datamodule, int(row))}: {place}", int(row)))
    return problems


def _labels(
    datamodule: MultiLabelDataModule, table: pd.DataFrame, train: Rows, valid: Rows, min_positives: int
) -> list[Problem]:
    labels = table["labels"].tolist()
    difficult = table["difficult"].tolist() if "difficult" in table.columns else [()] * len(table)
    counts: dict[str, int] = {}
    for row in train:
        for label in labels[row]:
            counts[label] = counts.get(label, 0) + 1
    problems = [
        Problem("label", f"{_at(datamodule, int(row))}: no training picture has the label {label!r}", int(row))
        for row in np.concatenate([train, valid])
        for label in dict.fromkeys((*labels[row], *difficult[row]))
        if label not in counts
    ]
    few = {label: n for label, n in sorted(counts.items()) if n < min_positives}
    return problems + [Problem("few", f"label {label!r} has {n} training pictures") for label, n in few.items()]


def _near_duplicates(
    datamodule: MultiLabelDataModule | KeypointDataModule,
    table: pd.DataFrame,
    pictures: Sequence[Seen],
    train: Rows,
    valid: Rows,
    max_distance: int,
) -> list[Problem]:
    hashes = np.array([picture.hash for picture in pictures], dtype=np.uint64)
    problems = []
    for row in train:
        distances: NDArray[np.uint8] = np.bitwise_count(hashes[valid] ^ hashes[row])
        nearest = int(distances.argmin())
        if distances[nearest] <= max_distance:
            other = table["fname"].iloc[valid[nearest]]
            message = f"looks like {other} of the validation split ({distances[nearest]} of 64 bits differ)"
            problems.append(Problem("near-duplicate", f"{_at(datamodule, int(row))}: {message}", int(row)))
    return problems


def _at(datamodule: MultiLabelDataModule | KeypointDataModule, row: int) -> str:
    return f"{datamodule.csv}: row {row + first_row(datamodule.csv)}"
