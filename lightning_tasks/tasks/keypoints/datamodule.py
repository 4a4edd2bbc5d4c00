"""The DataModule for images with points, from anybody's csv."""

from pathlib import Path

import albumentations as A
import pandas as pd

from lightning_tasks.batch import KeypointBatch, PlannedBatch
from lightning_tasks.data.datamodule import ImageDataModule
from lightning_tasks.data.describe import describe_white, listed
from lightning_tasks.data.images.cache import CacheKind
from lightning_tasks.data.images.depth import check_white_level
from lightning_tasks.data.images.store import ImageStore
from lightning_tasks.data.loading.cached import (
    MACHINES_OWN,
    Loading,
    cache_settings,
    rendered,
    side_to_decode,
)
from lightning_tasks.data.loading.skipping import OnBadImage
from lightning_tasks.data.tables.cells import normalized
from lightning_tasks.data.tables.csv_table import Complain, groups_of, raise_at_once
from lightning_tasks.data.tables.file_checks import LocatedTable
from lightning_tasks.data.tables.splits import Rows, Splitter
from lightning_tasks.data.tables.table_checks import Problem
from lightning_tasks.data.transforms.compose import height_and_width, warp_train, warp_valid
from lightning_tasks.errors import ConfigError, TableError
from lightning_tasks.filesystem import expanded
from lightning_tasks.tasks.keypoints.checks import TablePoints, find_point_problems, image_sizes_px
from lightning_tasks.tasks.keypoints.dataset import KeypointDataset, collate_keypoints
from lightning_tasks.tasks.keypoints.summary import describe_points
from lightning_tasks.tasks.keypoints.table import point_names, point_positions, read_keypoint_table

DECODE_FACTOR = 1.5  # zoom and warp enlarge no part by more


class KeypointDataModule(ImageDataModule):
    """Images and named points from a csv `fname[,group][,is_valid][,split],<point>_x,<point>_y[,<point>_v],...`.

    Positions are in pixels. `<point>_v`, `_visible` or `_visibility` is COCO's: 0, the point is not annotated.

    Args:
        root: the data set's folder.
        csv: the table, in root. An empty cell: not annotated, and masked out of loss and metrics. A point that is
            annotated outside its image is masked out of the loss, which could not be met, and counts in the metrics.
        images: the folder in root that file names start from.
        test_csv: the table of the test images, in root, with the same points; the `test` verb needs it. Of one with a
            column `split`, which may be `csv` itself, the rows marked test.
        test_images: the folder of the test images; None: `images`.
        size: height and width that the model sees, or one side for both.
        flip: mirror half of the training images; None: where it is safe, that is with one point or `swap_pairs`.
        swap_pairs: names of points that change places in a mirrored image: [[left_eye, right_eye], ...].
        max_rotate_deg: training images are turned by up to this.
        max_zoom: and enlarged by up to this factor.
        max_warp: and tilted by up to this, on the −1..1 scale.
        max_lighting: and made brighter or darker, and richer or poorer in contrast, by up to this share.
        batch_size: images in a batch, of each process.
        num_workers: processes that load; None: chosen from cores and device.
        cache: where decoded images are kept for the epochs to come: `disk`, one file that all processes map; `ram`,
            the same in memory; `none`; `auto`: disk where it fits.
        cache_dir: the folder of the cache on disk; None: the user's cache folder.
        cache_limit_gb: no cache is larger.
        decode_side: images are reduced to this shorter side when they are read, and so kept; 0: not at all; None:
            one and a half times the smaller side of `size`, and 0 with transforms from Python.
        white_level: which value is white in images of more than 8 bits: 4095 of 12 bits that lie in 16; None: 65535,
            where the images' values reach that far. It is kept in the checkpoint, for predictions and exports.
        device_cache: copy the cache to the device that trains, and do the book's transforms there.
        on_bad_image: what an image that cannot be read is: an `error`; or `skip` it, and say so after each epoch.
        max_bad_share: more of a split's images than this share are an error all the same.
        allow_outside: let the table's file names lead out of root, by `..`, an absolute path or a link.
        valid_fraction: the share held out where neither `is_valid` nor `split` nor a fold nor a splitter decides.
        fold: validate on this fold, 0 to folds − 1, by group where there is one; rows marked `is_valid` stay out.
        folds: how many folds.
        split_seed: of drawn splits.
        seed: of order and augmentation.
        point_names: the points, as a check; None: those of the table. A checkpoint hands its own over.
        splitter: from Python: table → (training rows, validation rows).
        train_transform: from Python: a Compose in place of the book's; see `transforms.compose_points`.
        valid_transform: likewise for validation and test. Pixel errors take it for a resize.

    Raises:
        LightningTasksError: on first use, where files or settings cannot be used.
    """

    collate = staticmethod(collate_keypoints)

    def __init__(
        self,
        root: str,
        csv: str = "points.csv",
        images: str = ".",
        test_csv: str | None = None,
        test_images: str | None = None,
        size: int | tuple[int, int] = (240, 320),
        flip: bool | None = None,
        swap_pairs: list[tuple[str, str]] | None = None,
        max_rotate_deg: float = 10.0,
        max_zoom: float = 1.1,
        max_warp: float = 0.2,
        max_lighting: float = 0.2,
        batch_size: int = 64,
        num_workers: int | None = None,
        cache: CacheKind = "auto",
        cache_dir: str | None = None,
        cache_limit_gb: float = 16.0,
        decode_side: int | None = None,
        white_level: int | None = None,
        device_cache: bool = False,
        on_bad_image: OnBadImage = "error",
        max_bad_share: float = 0.01,
        allow_outside: bool = False,
        valid_fraction: float = 0.2,
        fold: int | None = None,
        folds: int = 5,
        split_seed: int = 42,
        seed: int = 42,
        point_names: list[str] | None = None,
        splitter: Splitter | None = None,
        train_transform: A.Compose | None = None,
        valid_transform: A.Compose | None = None,
    ) -> None:
        super().__init__()
        # For the checkpoint; the loggers get the model's, and Lightning allows no name to stand in both.
        self.save_hyperparameters(
            ignore=["splitter", "train_transform", "valid_transform", *MACHINES_OWN], logger=False
        )
        self.root = Path(expanded(root))
        self.csv = self.in_root(csv)
        self.images = self.in_root(images)
        self.test_csv = None if test_csv is None else self.in_root(test_csv)
        self.test_images = self.images if test_images is None else self.in_root(test_images)
        self.image_size = height_and_width(size)
        self.flip = flip
        self.swap_pairs = [(normalized(left), normalized(right)) for left, right in swap_pairs or []]
        self.max_rotate_deg = max_rotate_deg
        self.max_zoom = max_zoom
        self.max_warp = max_warp
        self.max_lighting = max_lighting
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.cache_settings = cache_settings(cache, cache_dir, cache_limit_gb, device_cache)
        self.decode_side = side_to_decode(
            decode_side, self.image_size, DECODE_FACTOR, train_transform is not None or valid_transform is not None
        )
        self.white_level = check_white_level(white_level, "data.white_level")
        self.device_cache = device_cache
        self.on_bad_image = on_bad_image
        self.max_bad_share = max_bad_share
        self.allow_outside = allow_outside
        self.loading = Loading("", None)
        self.valid_fraction = valid_fraction
        self.fold = fold
        self.folds = folds
        self.split_seed = split_seed
        self.seed = seed
        self._given_names = None if point_names is None else [normalized(name) for name in point_names]
        self.splitter = splitter
        self.train_transform = train_transform
        self.valid_transform = valid_transform or warp_valid(self.image_size)

    @property
    def point_names(self) -> list[str]:
        """The points, in the order of the batches."""
        return self._given_names or point_names(self.table)

    def points_of(self, table: pd.DataFrame) -> list[str]:
        """Return the names of the points that a table has columns of."""
        return point_names(table)

    def find_problems(self, table: pd.DataFrame, train: Rows, valid: Rows) -> list[Problem]:
        """Return what `ImageDataModule.find_problems` does, and what is wrong with the points."""
        points = self._table_points(table, self.csv, self.images)
        return super().find_problems(table, train, valid) + find_point_problems(
            points, {"training": train, "validation": valid}
        )

    def find_test_problems(self, table: pd.DataFrame) -> list[Problem]:
        """Return what `find_problems` does for the table for testing, as `read_table` returns it."""
        assert self.test_csv is not None
        points = self._table_points(table, self.test_csv, self.test_images)
        return super().find_test_problems(table) + find_point_problems(points, {"testing": self.test_rows(table)})

    def _table_points(self, table: pd.DataFrame, source: Path, images: Path) -> TablePoints:
        files = table["fname"].tolist()
        return TablePoints(source, point_names(table), point_positions(table), files, image_sizes_px(images, files))

    @property
    def one_row_each(self) -> str:
        """What to do about several rows of one image that differ."""
        return (
            "An image has one row; several people (or other things) in one image are not supported: crop them, or "
            "keep one of the rows."
        )

    def describe(self) -> str:
        """Return what was found, for a person; reads and checks all of it."""
        self.read_sets("fit", *["test"] * self.has_test_table)
        lines = describe_points(self.root, self.table, self.split, self.point_names)
        return "\n".join([*lines, *self.describe_test(), *describe_white(self.white_level)])

    def one_batch(self) -> KeypointBatch:
        """Return the first training batch, augmented, read in this process: to look at."""
        self.read_sets("fit")
        batch: KeypointBatch = next(iter(self._loader(self.train_set, training=True, num_workers=0)))
        return batch

    def on_after_batch_transfer(self, batch: KeypointBatch | PlannedBatch, dataloader_idx: int) -> KeypointBatch:
        """Transform images that the device has, on the device."""
        made = rendered(batch, self.loading.device_images)
        assert isinstance(made, KeypointBatch)
        return made

    def read_table(self, path: Path, complain: Complain = raise_at_once) -> pd.DataFrame:
        """Return the checked table of a file; `complain`: what is done about a row that cannot be used."""
        table = read_keypoint_table(path, complain)
        names = point_names(table)
        if self._given_names is not None and names != self._given_names:
            raise TableError(
                f"{path}: row 1: its points are {listed(names)}, not {listed(self._given_names)} in that order. "
                "Name and order its columns likewise."
            )
        return table

    def read_test_table(self, complain: Complain = raise_at_once) -> pd.DataFrame:
        """Return the checked table for testing, which has this one's points; `complain`: see `read_table`."""
        self._given_names = self.point_names
        return super().read_test_table(complain)

    def read_sets(self, *stages: str) -> None:
        """Read and check the tables of stages, and which points change places, and make their data sets."""
        for name in (name for pair in self.swap_pairs for name in pair if name not in self.point_names):
            raise ConfigError(f"data.swap_pairs names the point {name!r}; {self.csv} has {listed(self.point_names)}.")
        super().read_sets(*stages)

    @property
    def transform_of_training(self) -> A.Compose:
        """What training images go through."""
        if self.train_transform is not None:
            return self.train_transform
        names = self.point_names
        flip = self.flip
        if flip is None:
            # A mirrored left eye is a right eye: without pairs the flip would teach the wrong one.
            flip = len(names) == 1 or bool(self.swap_pairs)
        return warp_train(
            self.image_size,
            flip_p=0.5 if flip else 0.0,
            max_rotate_deg=self.max_rotate_deg,
            max_zoom=self.max_zoom,
            max_warp=self.max_warp,
            max_lighting=self.max_lighting,
            swap_pairs=[(names.index(left), names.index(right)) for left, right in self.swap_pairs],
        )

    def _make_set(
        self, images: ImageStore, located: LocatedTable, rows: Rows, transform: A.Compose, split: str
    ) -> KeypointDataset:
        points, groups = point_positions(located.table)[rows], groups_of(located.table, rows)
        return KeypointDataset(images, points, transform, self.seed, groups, keep_outside=split != "training")
