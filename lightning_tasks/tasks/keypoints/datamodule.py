"""The DataModule for images with points, from anybody's csv."""

from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pandas as pd

from lightning_tasks.data.datamodule import ImageDataModule
from lightning_tasks.data.tables.cells import normalize
from lightning_tasks.data.tables.csv_table import OnError, listed, raise_error
from lightning_tasks.data.tables.file_checks import LocatedTable
from lightning_tasks.data.tables.splits import Rows, describe_counts
from lightning_tasks.data.tables.stratify import Strata
from lightning_tasks.data.tables.table_checks import Problem, TaskColumns
from lightning_tasks.data.transforms.compose import compose_points
from lightning_tasks.data.transforms.geometry import geometry_and_lighting, resize_only
from lightning_tasks.errors import ConfigError, TableError
from lightning_tasks.tasks.keypoints.checks import TablePoints, find_point_problems, image_sizes_px
from lightning_tasks.tasks.keypoints.dataset import KeypointDataset, collate_keypoints
from lightning_tasks.tasks.keypoints.table import point_columns, point_names, point_positions, read_keypoint_table


class KeypointDataModule(ImageDataModule):
    """Images and named points from a csv `fname[,group][,is_valid][,split],<point>_x,<point>_y[,<point>_v],...`.

    Positions are in pixels. `<point>_v`, `_visible` or `_visibility` is COCO's: 0, the point is not annotated.

    Args:
        root: the data set's folder.
        csv: the table, in root. An empty cell: not annotated, and masked out of loss and metrics. A point that is
            annotated outside its image is masked out of the loss, which could not be met, and counts in the metrics.
        size: height and width that the model sees, or one side for both.
        flip_p: how likely a training image is mirrored; None: half of them where it is safe, that is with one point or
            `swap_pairs`, and else none.
        swap_pairs: names of points that change places in a mirrored image: [[left_eye, right_eye], ...].
        max_rotate_deg: training images are turned by up to this.
        max_zoom: and enlarged by up to this factor.
        max_warp: and tilted by up to this, on the −1..1 scale.
        max_lighting: and made brighter or darker, and richer or poorer in contrast, by up to this share.
        point_names: the points, as a check; None: those of the table. A checkpoint hands its own over.
        kwargs: see `ImageDataModule`.

    Raises:
        LightningTasksError: on first use, where files or settings cannot be used.
    """

    collate = staticmethod(collate_keypoints)
    decode_factor = 1.5  # zoom and warp enlarge no part by more

    def __init__(
        self,
        root: str,
        csv: str = "points.csv",
        size: int | tuple[int, int] = (240, 320),
        flip_p: float | None = None,
        swap_pairs: list[tuple[str, str]] | None = None,
        max_rotate_deg: float = 10.0,
        max_zoom: float = 1.1,
        max_warp: float = 0.2,
        max_lighting: float = 0.2,
        point_names: list[str] | None = None,
        **kwargs: Any,  # noqa: ANN401 - the parent's
    ) -> None:
        super().__init__(root=root, csv=csv, size=size, **kwargs)
        self.flip_p = flip_p
        self.swap_pairs = [(normalize(left), normalize(right)) for left, right in swap_pairs or []]
        self.max_rotate_deg, self.max_zoom, self.max_warp = max_rotate_deg, max_zoom, max_warp
        self.max_lighting = max_lighting
        self._given_names = None if point_names is None else [normalize(name) for name in point_names]

    @property
    def point_names(self) -> list[str]:
        """The points, in the order of the batches."""
        return self._given_names or point_names(self.table)

    def task_columns(self, table: pd.DataFrame) -> TaskColumns:
        """Return that positions are read, and whether points are visible."""
        return point_columns(table)

    def find_problems(self, table: pd.DataFrame, train: Rows, valid: Rows) -> list[Problem]:
        """Return what `ImageDataModule.find_problems` does, and what is wrong with the points."""
        points, splits = self._table_points(table, self.csv, self.images), {"training": train, "validation": valid}
        return super().find_problems(table, train, valid) + find_point_problems(points, splits)

    def find_test_problems(self, table: pd.DataFrame) -> list[Problem]:
        """Return what `find_problems` does for the table for testing, as `read_table` returns it."""
        assert self.test_csv is not None
        points = self._table_points(table, self.test_csv, self.test_images)
        return super().find_test_problems(table) + find_point_problems(points, {"testing": self.test_rows(table)})

    def _table_points(self, table: pd.DataFrame, source: Path, images: Path) -> TablePoints:
        files = table["fname"].tolist()
        return TablePoints(source, point_names(table), point_positions(table), files, image_sizes_px(images, files))

    def strata(self, table: pd.DataFrame) -> Strata | None:
        """Return which points are annotated in each row, of those that are in some rows alone; see `CheckedTables`."""
        annotated = ~np.isnan(point_positions(table)).any(axis=-1)
        pairs = np.argwhere(annotated & ~annotated.all(axis=0))
        return pairs if len(pairs) else None

    @property
    def one_row_each(self) -> str:
        """What to do about several rows of one image that differ."""
        several = "several people (or other things) in one image are not supported: crop them, or keep one of the rows."
        return f"An image has one row; {several}"

    def describe_annotations(self) -> list[str]:
        """Return lines about the table and its split, for a person; these have been read."""
        names, lines = self.point_names, [describe_counts(self.root, self.table, self.split)]
        if "group" in self.table.columns:
            groups = self.table["group"]
            valid = ", ".join(sorted(groups.iloc[self.split[1]].unique()))
            lines.append(f"{groups.nunique()} groups; validation: {valid}")
        annotated = ~np.isnan(point_positions(self.table)).any(axis=-1)
        points = f"{len(names)} point{'s' * (len(names) > 1)} ({listed(names)})"
        return [*lines, f"{points}, annotated in {annotated.mean():.1%} of the images"]

    def read_table(self, path: Path, on_error: OnError = raise_error) -> pd.DataFrame:
        """Return the checked table of a file; `on_error`: what is done about a row that cannot be used."""
        table = read_keypoint_table(path, on_error)
        names = point_names(table)
        if self._given_names is not None and names != self._given_names:
            raise TableError(
                f"{path}: row 1: its points are {listed(names)}, not {listed(self._given_names)} in that order. "
                "Name and order its columns likewise."
            )
        return table

    def read_test_table(self, on_error: OnError = raise_error) -> pd.DataFrame:
        """Return the checked table for testing, which has this one's points; `on_error`: see `read_table`."""
        self._given_names = self.point_names
        return super().read_test_table(on_error)

    def check_tables(self, *stages: str) -> None:
        """Ask what is wrong with the tables of stages, and with which points change places; see `CheckedTables`."""
        for name in (name for pair in self.swap_pairs for name in pair if name not in self.point_names):
            raise ConfigError(f"data.swap_pairs names the point {name!r}; {self.csv} has {listed(self.point_names)}.")
        super().check_tables(*stages)

    def make_train_transform(self) -> A.Compose:
        """Return geometry and lighting."""
        names = self.point_names
        # A mirrored left eye is a right eye: without pairs the flip would teach the wrong one.
        safe_p = 0.5 if len(names) == 1 or self.swap_pairs else 0.0
        steps = geometry_and_lighting(
            self.train_sizes.made(self.device_cache),
            flip_p=safe_p if self.flip_p is None else self.flip_p,
            max_rotate_deg=self.max_rotate_deg,
            max_zoom=self.max_zoom,
            max_warp=self.max_warp,
            max_lighting=self.max_lighting,
            swap_pairs=[(names.index(left), names.index(right)) for left, right in self.swap_pairs],
        )
        return compose_points(steps)

    def make_valid_transform(self) -> A.Compose:
        """Return a resize."""
        return compose_points(resize_only(self.image_size))

    def make_set(self, located: LocatedTable, rows: Rows, split: str, **shared: Any) -> KeypointDataset:  # noqa: ANN401
        """Return the data set of some of a table's rows; see `ImageDataModule`."""
        points_px = point_positions(located.table)[rows]
        return KeypointDataset(points_px=points_px, keep_outside=split != "training", **shared)
