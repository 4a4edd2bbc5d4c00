"""What a config says of somebody's own table, and why."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lightning_tasks.data.images.decode import Size, file_size_px
from lightning_tasks.data.tables.csv_table import read_cells
from lightning_tasks.data.tables.file_checks import Files, find_files
from lightning_tasks.data.tables.paths import Confines
from lightning_tasks.data.tables.splits import Rows, marked_test
from lightning_tasks.data.tables.table_checks import TaskColumns, unused_columns
from lightning_tasks.tasks.recipe import Recipe, Wishes, median_size

_SIZES_SEEN = 100
_FOLDS = 5  # of `--data.fold`, unless others are asked for


@dataclass(frozen=True, eq=False)  # one is equal to itself alone: what was read of it may be kept by it
class OwnTable:
    """A table that a config is written for, and what its owner says of it."""

    path: Path
    images: str  # the folder that file names start from, seen from the table's
    label_separator: str  # stands between labels in a cell; see `MultiLabelDataModule`
    vocab: list[str] | None  # all labels; None: those that occur
    wishes: Wishes = field(default_factory=Wishes)  # of the recipe
    task: str | None = None  # its name, where its owner says which
    swap_pairs: list[list[str]] | None = None  # points that change places in a mirrored image, where they are known

    @cached_property
    def _cells(self) -> list[list[str]]:
        return read_cells(self.path) or [[]]

    @property
    def header(self) -> list[str]:
        """The names of the columns."""
        return [cell.strip() for cell in self._cells[0]]

    @cached_property
    def files(self) -> Files:
        """The files that its names mean, as the config lets the data be read."""
        folder, column = self.path.parent / self.images, self.header.index("fname")
        names = [cells[column] for cells in self._cells[1:]]
        return find_files(names, folder, Confines(self.path.parent, folder))

    @cached_property
    def image_rows(self) -> Rows:
        """A row of each image."""
        return np.sort(np.unique(self.files.ids, return_index=True)[1])

    @cached_property
    def sizes(self) -> list[Size]:
        """The heights and widths of some of the images: of those that can be read."""
        paths = self.files.paths(self.image_rows)
        rows = np.unique(np.linspace(0, len(paths) - 1, num=min(_SIZES_SEEN, len(paths))).astype(int))
        return [size for row in rows if (size := file_size_px(paths[row])) is not None]

    @property
    def size(self) -> Size | None:
        """The median height and width of its images; None: of none that can be read."""
        return median_size(self.sizes)


@dataclass
class ConfigDraft:
    """What a config says of the data besides where it is, and of the training."""

    arguments: dict[str, Any]  # of the data module, in the order in which they are written
    comments: dict[str, list[str]] = field(default_factory=dict)  # lines above an argument, or above `csv`, by its name
    recipe: Recipe = field(default_factory=Recipe)  # its `data` is written behind the arguments


def describe_columns(path: Path, table: pd.DataFrame, of_task: TaskColumns) -> list[str]:
    """Return lines about the columns of any table, and about those that nobody reads; see `unused_columns`."""
    unused = unused_columns(path, table.columns, of_task, only_near_misses=False)
    lines = [f"{problem.message} {problem.way_out}".strip() for problem in unused]
    if "is_valid" in table.columns:
        column = "val in split" if "split" in table.columns else "is_valid"
        lines.append(f"{int(table['is_valid'].sum()):,} rows are marked {column}: these are for validation")
    else:
        drawn = "a fifth is drawn for validation" + ", in whole groups" * ("group" in table)
        why = (
            "no row is marked val in split"
            if "split" in table.columns
            else "no column is_valid or split (train, val, test)"
        )
        lines.append(f"{why}: {drawn}")
    test = int(marked_test(table).sum())
    if test:
        lines.append(f"{test:,} rows are marked test: --data.test_csv {path.name} scores them, nothing else reads them")
    if "group" in table.columns:
        n = table["group"].nunique()
        lines.append(f"{n:,} groups" + "; --data.fold 0 validates on a fifth of them" * (n >= _FOLDS))
    return lines
