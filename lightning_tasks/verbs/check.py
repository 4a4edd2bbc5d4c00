"""Is there anything wrong with a data set? Reads every image once, and complains of everything at once."""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray
from tqdm import tqdm

from lightning_tasks.atomic_write import require_place, write_whole
from lightning_tasks.cores import usable_cores
from lightning_tasks.data.datamodule import ImageDataModule
from lightning_tasks.data.images.decode import read_image
from lightning_tasks.data.images.depth import FEW, FULL, describe_white, likely_white
from lightning_tasks.data.images.white_level import DARK, brightest_of_some, dark_split, few_bits
from lightning_tasks.data.tables.csv_table import (
    OnError,
    delimiter_of,
    encoding_of,
    first_row,
    is_image_set,
    read_cells,
)
from lightning_tasks.data.tables.file_checks import Files
from lightning_tasks.data.tables.table_checks import Problem, respelt, trained_on
from lightning_tasks.errors import ConfigError, ImageError, TableError
from lightning_tasks.filesystem import is_file
from lightning_tasks.tasks.registry import task_of
from lightning_tasks.verbs.near_duplicates import NEAR_DUPLICATE, Looks, looks_of, near_duplicates
from lightning_tasks.verbs.predictions import tables_of


def run(
    trainer: pl.Trainer,
    model: None,
    datamodule: ImageDataModule,
    fix: str | None = None,
    min_positives: int = 10,
    max_distance: int = 4,
    fix_near_duplicates: bool = False,
) -> None:
    """Read every image once and print all that is wrong with the data; exit with 1 if anything is.

    Args:
        fix: a csv to write, beside the table or elsewhere: the table without the bad rows.
        min_positives: fewer training images with a label are few.
        max_distance: bits of 64 in which the perceptual hashes of near-duplicates may differ; their pixels decide.
        fix_near_duplicates: leave training images that look like one of validation out of `fix` too.
    """
    task_of(datamodule)  # a user's own has nothing that could be asked
    if fix is not None:
        if is_image_set(datamodule.csv) or not is_file(datamodule.csv):
            module = type(datamodule).__name__
            raise ConfigError(f"--fix writes a csv without the bad rows; {module} reads none in {datamodule.root}.")
        require_place(Path(fix), tables_of(datamodule))
    problems = check(datamodule, min_positives, max_distance)
    print("\n".join([*describe_white(datamodule.white_level), describe_problems(problems)]))
    if fix is not None:
        print(write_fixed(problems, datamodule.csv, Path(fix), fix_near_duplicates))
    if problems:
        raise SystemExit(1)


class FileCheck(NamedTuple):
    """What one reading of a file tells."""

    error: str
    width: int = 0
    height: int = 0
    looks: Looks = Looks(0, b"")


def check(datamodule: ImageDataModule, min_positives: int = 10, max_distance: int = 4) -> list[Problem]:
    """Return what is wrong, in the order of kinds below; nothing where all is well.

    cell: a row of the table that cannot be used. name: files that are called a little otherwise. white: images of 16
    bits use few of them. image: missing, unreadable or cut short. Then what `fit` asks of the table too. column: one
    that nobody reads. duplicate: a file that stands in the table before. group: on both sides of the split. label: only
    in validation. few: a label with few positives. unit, points: what the points look like. point: outside its image.
    test: what trains is also tested. near-duplicate: a training image that looks like one of validation.

    Raises:
        LightningTasksError: the table as a whole cannot be read.
    """
    problems: list[Problem] = []
    located = datamodule.locate(datamodule.read_main_table(_collect(problems)))
    table, files = located.table, located.files
    problems += [*respelt(located), *_settle_white_level(datamodule, files)]
    images = _read(files, datamodule.white_level)
    for row, image in enumerate(images):
        if image.error and files.names[row].strip():  # that a name is empty was told of its cell
            problems.append(Problem("image", f"{_at(datamodule.csv, row)}: {image.error}", row))
    bad = {problem.row for problem in problems}
    kept = np.array([row for row in range(len(table)) if row not in bad], dtype=np.int64)
    if not len(kept):
        return problems + _of_test(datamodule, files.ids[:0])
    train, valid = (kept[part] for part in datamodule.split_of(table.iloc[kept].reset_index(drop=True)))
    if datamodule.train_on_valid:  # then no label stands in validation alone, and there is nothing to leak
        train, valid = np.union1d(train, valid), valid[:0]
    problems += _dark_splits({"training": files.paths(train), "validation": files.paths(valid)}, datamodule)
    sizes_px = np.array([(image.width, image.height) for image in images])
    of_table = task_of(datamodule).find_problems(datamodule, table, train, valid, sizes_px, min_positives)
    repeated = {problem.row for problem in of_table if problem.kind == "duplicate"}
    problems += [*of_table, *_of_test(datamodule, files.ids[train])]
    train, valid = (np.array([row for row in rows if row not in repeated], dtype=np.int64) for rows in (train, valid))
    for pair in near_duplicates([image.looks for image in images], train, valid, max_distance):
        other = table["fname"].iloc[pair.valid]
        apart = f"{pair.bits} of 64 bits differ, pixels by {pair.levels:.1f} of 255 levels"
        message = f"{_at(datamodule.csv, pair.train)}: looks like {other} of the validation split ({apart})"
        problems.append(Problem(NEAR_DUPLICATE, message, pair.train))
    return problems


def describe_problems(problems: Sequence[Problem]) -> str:
    """Return a line for each problem, and how many there are of each kind, for a person."""
    kinds = Counter(problem.kind for problem in problems)
    counts = ", ".join(f"{n:,} × {kind}" for kind, n in kinds.items()) if problems else "nothing is wrong"
    ways = dict.fromkeys(f"{problem.kind}: {problem.way_out}" for problem in problems if problem.way_out)
    return "\n".join([*(f"{problem.kind:<14}  {problem.message}" for problem in problems), counts, *ways])


def _collect(problems: list[Problem]) -> OnError:
    """Return what notes the first mistake of each row, and continues."""
    rows = set()

    def note(row: int, error: TableError) -> None:
        if row not in rows:  # what follows from the first mistake of a row is no news
            rows.add(row)
            problems.append(Problem("cell", str(error), row))

    return note


def _of_test(datamodule: ImageDataModule, training: NDArray[np.int64]) -> list[Problem]:
    """Return what is wrong with the test table; no row of it is one that could be left out of the other table."""
    if not datamodule.has_test_table:
        return []
    problems: list[Problem] = []
    test = datamodule.locate_test(datamodule.read_test_table(_collect(problems)))
    bad = {problem.row for problem in problems}
    problems += [problem for problem in datamodule.find_test_problems(test.table) if problem.row not in bad]
    tested = datamodule.test_rows(test.table)
    for row in tested[(test.files.missing | test.files.leads_out)[tested]]:
        if row not in bad:
            problems.append(Problem("image", f"{_at(test.source, row)}: {test.files.what_is_missing(int(row))}"))
    problems += _dark_splits({"test": test.files.paths(tested)}, datamodule)
    problems += [*respelt(test), *trained_on(test, tested, datamodule.csv, training)]
    return [replace(problem, row=None) for problem in problems]


def _settle_white_level(datamodule: ImageDataModule, files: Files) -> list[Problem]:
    """Let the data module read images of more than 8 bits as they seem to be meant, and return what is wrong there."""
    if datamodule.white_level is not None:
        return []
    there = np.flatnonzero(~(files.missing | files.leads_out))
    largest, read = brightest_of_some([[files.path(int(row)) for row in there]])
    datamodule.white_level = likely_white(largest) if largest else None
    if 0 < largest < FEW:
        return [Problem("white", few_bits(largest, read), is_error=True)]
    return []


def _dark_splits(splits: Mapping[str, Sequence[Path]], datamodule: ImageDataModule) -> list[Problem]:
    """Return which splits use few of 16 bits, though others do use them, or have none."""
    if datamodule.hparams.get("white_level") is not None or datamodule.white_level not in (None, FULL):
        return []  # it was said, or told of all images
    limit = DARK if datamodule.white_level else FEW  # below which `test` refuses them
    return [
        Problem("white", f"{datamodule.csv}: {dark_split(split, largest, read)}")
        for split, paths in splits.items()
        for largest, read in [brightest_of_some([paths])]
        if 0 < largest < limit
    ]


def _read(files: Files, white_level: int | None) -> list[FileCheck]:
    def read(row: int) -> FileCheck:
        if files.leads_out[row]:
            return FileCheck(f"{files.path(row)} leads out of the data's folder")
        if files.missing[row]:
            return FileCheck(files.what_is_missing(row))
        return read_one(files.path(row), white_level)

    n = len(files.names)
    with ThreadPoolExecutor(usable_cores()) as pool:  # decoding leaves Python to the other threads
        return list(tqdm(pool.map(read, range(n)), total=n, desc="reading", leave=False, disable=None))


def read_one(path: Path, white_level: int | None = None) -> FileCheck:
    """Read a file as training does, and return what it tells."""
    try:
        image = read_image(path, white_level=white_level)
    except ImageError as error:
        return FileCheck(str(error))
    height, width = image.shape[:2]
    return FileCheck("", width, height, looks_of(image))


def _at(source: Path, row: int) -> str:
    return f"{source}: row {row + first_row(source)}"


def write_fixed(problems: Sequence[Problem], source: Path, target: Path, fix_near_duplicates: bool) -> str:
    """Write the table without the rows that have a problem; return what was done, for a person.

    Near-duplicates are left out if that is asked for: looks may deceive. Rows of one image that deny each other are
    kept: without one of them the other would be as wrong. The cells are the file's own, and so is what stands between
    them: what a comma means depends on it. The encoding is UTF-8.
    """
    counted = [problem for problem in problems if fix_near_duplicates or problem.kind != NEAR_DUPLICATE]
    header, *rows = read_cells(source)
    delimiter = delimiter_of(source)
    bad = {problem.row for problem in counted if not problem.keep_row}
    kept = [cells for row, cells in enumerate(rows) if row not in bad]

    def write(new: Path) -> None:
        with new.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, delimiter=delimiter).writerows([header, *kept])

    write_whole(target, write)
    now = ", now in UTF-8" if encoding_of(source) != encoding_of(target) else ""
    lines = [f"{target}: without {len(rows) - len(kept):,} rows{now}"]
    if unsolved := sum(problem.keep_row for problem in counted):
        lines.append(f"{target}: with {unsolved:,} rows that only you can put right")
    if alike := len({problem.row for problem in problems} - {problem.row for problem in counted}):
        lines.append(f"{target}: with {alike:,} near-duplicates; --fix_near_duplicates true leaves them out")
    return "\n".join(lines)
