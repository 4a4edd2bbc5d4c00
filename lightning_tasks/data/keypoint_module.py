"""The DataModule for pictures with points, from anybody's csv."""

from pathlib import Path

import albumentations as A
import numpy as np
import pandas as pd

from lightning_tasks.batch import KeypointBatch, PlannedBatch
from lightning_tasks.data.cache import CacheKind
from lightning_tasks.data.datamodule import ImageDataModule
from lightning_tasks.data.datasets import KeypointDataset, collate_keypoints
from lightning_tasks.data.describe import describe_points, listed
from lightning_tasks.data.files import Confines, check_files
from lightning_tasks.data.keypoint_table import point_names, point_positions, read_keypoint_table
from lightning_tasks.data.loading import (
    MACHINES_OWN,
    Loading,
    cache_settings,
    rendered,
    side_to_decode,
)
from lightning_tasks.data.pictures import Pictures
from lightning_tasks.data.skipping import OnBadImage, Skipped
from lightning_tasks.data.splits import Rows, Splitter
from lightning_tasks.data.tables import Complain, groups_of, raise_at_once
from lightning_tasks.data.transforms import height_and_width, warp_train, warp_valid
from lightning_tasks.errors import ConfigError, TableError
from lightning_tasks.filesystem import expanded

DECODE_FACTOR = 1.5  # zoom and warp enlarge no part by more


class KeypointDataModule(ImageDataModule):
    """Pictures and named points from a csv `fname[,group][,is_valid],<point>_x,<point>_y,...` in pixels.

    Args:
        root: the data set's folder.
        csv: the table, in root. An empty cell: not annotated, and masked out of loss and metrics.
        images: the folder in root that file names start from.
        test_csv: the table of the test pictures, in root, with the same points; the `test` verb needs it.
        test_images: the folder of the test pictures; None: `images`.
        size: height and width that the model sees, or one side for both.
        flip: mirror half of the training pictures; None: where it is safe, that is with one point or `swap_pairs`.
        swap_pairs: names of points that change places in a mirrored picture: [[left_eye, right_eye], ...].
        max_rotate_deg: training pictures are turned by up to this.
        max_zoom: and enlarged by up to this factor.
        max_warp: and tilted by up to this, on the −1..1 scale.
        max_lighting: and made brighter or darker, and richer or poorer in contrast, by up to this share.
        batch_size: pictures in a batch, of each process.
        num_workers: processes that load; None: chosen from cores and device.
        cache: where decoded pictures are kept for the epochs to come: `disk`, one file that all processes map; `ram`,
            the same in memory; `none`; `auto`: disk where it fits.
        cache_dir: the folder of the cache on disk; None: the user's cache folder.
        cache_limit_gb: no cache is larger.
        decode_side: pictures are reduced to this shorter side when they are read, and so kept; 0: not at all; None:
            one and a half times the smaller side of `size`, and 0 with transforms from Python.
        device_cache: copy the cache to the device that trains, and do the book's transforms there.
        on_bad_image: what a picture that cannot be read is: an `error`; or `skip` it, and say so after each epoch.
        max_bad_share: more of a split's pictures than this share are an error all the same.
        allow_outside: let the table's file names lead out of root, by `..`, an absolute path or a link.
        valid_fraction: the share held out where neither `is_valid` nor a fold nor a splitter decides.
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
        self.swap_pairs = swap_pairs or []
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
        self._given_names = point_names
        self.splitter = splitter
        self.train_transform = train_transform
        self.valid_transform = valid_transform or warp_valid(self.image_size)

    @property
    def point_names(self) -> list[str]:
        """The points, in the order of the batches."""
        return self._given_names or point_names(self.table)

    def _read_sets(self, stage: str) -> None:
        for name in (name for pair in self.swap_pairs for name in pair if name not in self.point_names):
            raise ConfigError(f"data.swap_pairs names the point {name!r}; {self.csv} has {listed(self.point_names)}.")
        if stage == "test":
            if self.test_csv is None:
                raise ConfigError("There is no test table. Name one in root: --data.test_csv test.csv")
            self._given_names = self.point_names
            table = self.read_table(self.test_csv)
            rows = np.arange(len(table))
            self.test_set = self._dataset(table, rows, self.test_csv, self.test_images, self.valid_transform, "test")
            return
        train, valid = self.split
        if stage == "fit":
            transform = self.train_transform or self._book_transform()
            self.train_set = self._dataset(self.table, train, self.csv, self.images, transform, "training")
        self.valid_set = self._dataset(self.table, valid, self.csv, self.images, self.valid_transform, "validation")

    def describe(self) -> str:
        """Return what was found, for a person; reads and checks all of it."""
        self._read_sets("fit")
        lines = describe_points(self.root, self.table, self.split, self.point_names)
        if self.has_test_table:
            self._read_sets("test")
            lines.append(f"{self.test_csv}: {len(self.test_set):,} pictures for testing")
        return "\n".join(lines)

    def one_batch(self) -> KeypointBatch:
        """Return the first training batch, augmented, read in this process: to look at."""
        self._read_sets("fit")
        batch: KeypointBatch = next(iter(self._loader(self.train_set, training=True, num_workers=0)))
        return batch

    def on_after_batch_transfer(self, batch: KeypointBatch | PlannedBatch, dataloader_idx: int) -> KeypointBatch:
        """Transform pictures that the device has, on the device."""
        made = rendered(batch, self.loading.device_pictures)
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

    def _book_transform(self) -> A.Compose:
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

    def _dataset(
        self, table: pd.DataFrame, rows: Rows, source: Path, images: Path, transform: A.Compose, split: str
    ) -> KeypointDataset:
        paths = check_files(table, rows, images, source, None if self.allow_outside else Confines(self.root, images))
        dataset = KeypointDataset(
            Pictures(paths, self.decode_side),
            point_positions(table)[rows],
            transform,
            self.seed,
            groups_of(table, rows),
        )
        if self.on_bad_image == "skip":
            dataset.skipped = Skipped(split, paths, self.max_bad_share)
        return dataset
