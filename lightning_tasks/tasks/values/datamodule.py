"""The DataModule for images with numbers, from anybody's csv."""

from functools import cached_property
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pandas as pd

from lightning_tasks.data.datamodule import ImageDataModule
from lightning_tasks.data.download.atomic_folder import is_there
from lightning_tasks.data.loading.dataset import TargetDataset, collate_targets
from lightning_tasks.data.tables.cells import normalize
from lightning_tasks.data.tables.csv_table import OnError, raise_error
from lightning_tasks.data.tables.file_checks import LocatedTable
from lightning_tasks.data.tables.splits import Rows
from lightning_tasks.data.tables.stratify import Strata
from lightning_tasks.data.tables.table_checks import Problem, TaskColumns
from lightning_tasks.data.transforms.geometry import geometry_and_lighting, resize_only
from lightning_tasks.tasks.values.checks import find_value_problems
from lightning_tasks.tasks.values.sample import draw_values
from lightning_tasks.tasks.values.statistics import Statistics, statistics_of, value_strata
from lightning_tasks.tasks.values.summary import describe_values
from lightning_tasks.tasks.values.table import read_value_table, target_columns, target_values, value_columns


class ValueDataModule(ImageDataModule):
    """Images and numbers of them from a csv `fname[,group][,is_valid][,split],<name>,...`.

    Args:
        root: the data set's folder.
        csv: the table, in root. An empty cell: not known, and masked out of loss and metrics.
        targets: the columns of numbers; None: all whose cells are numbers. A checkpoint hands its own over.
        size: side of the square the model sees, or height and width.
        flip_p: how likely a training image is mirrored; 0 where left and right matter, such as a position.
        max_rotate_deg: training images are turned by up to this.
        max_zoom: and enlarged by up to this factor.
        max_warp: and tilted by up to this, on the −1..1 scale.
        max_lighting: and made brighter or darker, and richer or poorer in contrast, by up to this share.
        kwargs: see `ImageDataModule`.

    Raises:
        LightningTasksError: on first use, where files or settings cannot be used.
    """

    collate = staticmethod(collate_targets)
    decode_factor = 1.5  # zoom and warp enlarge no part by more

    def __init__(
        self,
        root: str,
        csv: str = "values.csv",
        targets: list[str] | None = None,
        size: int | tuple[int, int] = 128,
        flip_p: float = 0.5,
        max_rotate_deg: float = 10.0,
        max_zoom: float = 1.1,
        max_warp: float = 0.2,
        max_lighting: float = 0.2,
        **kwargs: Any,  # noqa: ANN401 - the parent's
    ) -> None:
        super().__init__(root=root, csv=csv, size=size, **kwargs)
        self._steps = geometry_and_lighting(
            self.train_sizes.made(self.device_cache),
            flip_p=flip_p,
            max_rotate_deg=max_rotate_deg,
            max_zoom=max_zoom,
            max_warp=max_warp,
            max_lighting=max_lighting,
        )
        self._given_targets = None if targets is None else [normalize(name) for name in targets]

    @property
    def targets(self) -> list[str]:
        """The names of the numbers, in the order of the batches."""
        return self._given_targets or target_columns(self.table)

    @cached_property
    def statistics(self) -> Statistics:
        """Of the training split."""
        return statistics_of(target_values(self.table, self.targets)[self.split[0]])

    def task_columns(self, table: pd.DataFrame) -> TaskColumns:
        """Return that the numbers are read."""
        return value_columns(table)

    def find_problems(self, table: pd.DataFrame, train: Rows, valid: Rows) -> list[Problem]:
        """Return what `ImageDataModule.find_problems` does, and what is wrong with the numbers."""
        splits = {"training": train, "validation": valid}
        return super().find_problems(table, train, valid) + self._value_problems(self.csv, table, splits)

    def find_test_problems(self, table: pd.DataFrame) -> list[Problem]:
        """Return what `find_problems` does for the table for testing, as `read_table` returns it."""
        assert self.test_csv is not None
        splits = {"testing": self.test_rows(table)}
        return super().find_test_problems(table) + self._value_problems(self.test_csv, table, splits)

    def _value_problems(self, source: Path, table: pd.DataFrame, splits: dict[str, Rows]) -> list[Problem]:
        names = self._given_targets or target_columns(table)
        return find_value_problems(source, names, target_values(table, names), splits)

    def strata(self, table: pd.DataFrame) -> Strata | None:
        """Return how large the numbers of each row are; see `CheckedTables`."""
        return value_strata(target_values(table, target_columns(table)))

    @property
    def one_row_each(self) -> str:
        """What to do about several rows of one image that differ."""
        return "An image has one row: keep one of them, or their mean."

    def describe_annotations(self) -> list[str]:
        """Return lines about the table and its split, for a person; these have been read."""
        return describe_values(self.root, self.table, self.split, self.targets)

    def read_table(self, path: Path, on_error: OnError = raise_error) -> pd.DataFrame:
        """Return the checked table of a file; `on_error`: what is done about a row that cannot be used."""
        return read_value_table(path, self._given_targets, on_error)

    def read_test_table(self, on_error: OnError = raise_error) -> pd.DataFrame:
        """Return the checked table for testing, which has this one's targets; `on_error`: see `read_table`."""
        self._given_targets = self.targets
        return super().read_test_table(on_error)

    def make_train_transform(self) -> A.Compose:
        """Return geometry and lighting."""
        return A.Compose(self._steps)

    def make_valid_transform(self) -> A.Compose:
        """Return a resize."""
        return A.Compose(resize_only(self.image_size))

    def make_set(self, located: LocatedTable, rows: Rows, split: str, **shared: Any) -> TargetDataset:  # noqa: ANN401
        """Return the data set of some of a table's rows; see `ImageDataModule`."""
        targets = target_values(located.table, self.targets)[rows].astype(np.float32)
        return TargetDataset(targets=targets, **shared)


class ValueSampleDataModule(ValueDataModule):
    """Drawn discs, how many they are and how much they cover, to try things out without a network; see `prepare`."""

    def __init__(self, root: str = "data/values_sample", **kwargs: Any) -> None:  # noqa: ANN401 - the parent's
        super().__init__(root=root, **kwargs)

    def prepare_data(self) -> None:
        """Draw the sample if root does not exist."""
        if not is_there(self.root):
            draw_values(self.root)
