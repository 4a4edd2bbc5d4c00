"""What the data modules of all tasks share."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import albumentations as A
from torch.utils.data import DataLoader

from lightning_tasks.batch import Batch, PlannedBatch
from lightning_tasks.data.checked_tables import CheckedTables
from lightning_tasks.data.images.cache import CacheKind, ImageStore
from lightning_tasks.data.images.depth import FULL, check_white_level, describe_white
from lightning_tasks.data.images.white_level import doubt, find_white_level
from lightning_tasks.data.loading.cached import (
    NOT_IN_CHECKPOINT,
    Loading,
    Split,
    cache_settings,
    load_through_cache,
    side_to_decode,
)
from lightning_tasks.data.loading.dataloader import make_loader, workers_for
from lightning_tasks.data.loading.dataset import ImageDataset, collate_planned
from lightning_tasks.data.loading.oversampling import check_threshold
from lightning_tasks.data.loading.skipping import OnBadImage, Skipped, skip_unreadable
from lightning_tasks.data.tables.csv_table import groups_of
from lightning_tasks.data.tables.file_checks import LocatedTable
from lightning_tasks.data.tables.splits import Rows, Splitter
from lightning_tasks.data.transforms.compose import height_and_width
from lightning_tasks.data.transforms.progressive import TrainSizes
from lightning_tasks.filesystem import expand_path

_SETS = {"training": "train_set", "validation": "valid_set", "test": "test_set"}


class ImageDataModule(CheckedTables):
    """Images and what is annotated of them, from tables; batches of them for training, validation and testing.

    Args:
        root: the data set's folder.
        csv: the table, in root.
        images: the folder in root that file names start from.
        test_csv: the table of the test images, in root; the `test` verb needs it. Of one with a column `split`, which
            may be `csv` itself, the rows marked test.
        test_images: the folder of the test images; None: `images`.
        size: side of the square the model sees, or height and width.
        start_size: training begins with images reduced to this smaller side, and grows to `size` over the epochs in
            steps of 32 pixels: progressive resizing. None: no growth.
        train_size: training images are reduced to this smaller side, a multiple of 32: cheaper than `size`, which
            validation and predictions see, and where crops are trained on often as good. None: `size`.
        batch_size: images in a batch, of each process.
        num_workers: processes that load; None: chosen from cores and device.
        cache: where decoded images are kept for the epochs to come: `disk`, one file that all processes map; `ram`,
            the same in memory; `none`; `auto`: disk where it fits.
        cache_dir: the folder of the cache on disk; None: the user's cache folder.
        cache_limit_gb: no cache is larger.
        decode_side: images are reduced to this shorter side when they are read, and so kept; 0: not at all; None:
            twice the smaller side of `size` (one and a half times for points and numbers), and 0 with transforms from
            Python.
        white_level: which value is white in images of more than 8 bits: 4095 of 12 bits that lie in 16; None: 65535,
            where the images' values reach that far. It is kept in the checkpoint, for predictions and exports.
        device_cache: copy the cache to the device that trains, and do fastai's transforms there.
        on_bad_image: what an image that cannot be read is: an `error`; or `skip` it, and say so after each epoch.
        max_bad_fraction: more of a split's images than this share are an error all the same.
        allow_outside: let the table's file names lead out of root, by `..`, an absolute path or a link.
        valid_fraction: the share held out where neither `is_valid` nor `split` nor a fold nor a splitter decides.
        fold: validate on this fold, 0 to folds − 1, by group where there is one; rows marked `is_valid` stay out.
        folds: how many folds.
        split_seed: of drawn splits.
        stratify: give both sides of a drawn split, and each fold, their share of each label (of points that only some
            images have, of small and large numbers). What is alone with a label is trained on. False: as the lot falls.
        train_on_valid: train on the validation rows too, before a last `test`; their own scores then say nothing.
        oversample_threshold: labels (or points) that fewer of the training images have than this share are rare: their
            images are shown more often, in place of others; see `repeat_factors`. 0: each image once an epoch.
        seed: of order and augmentation.
        splitter: from Python: table → (training rows, validation rows).
        train_transform: from Python: an albumentations Compose in place of fastai's default; for points, see
            `transforms.compose_points`.
        valid_transform: likewise for validation and test. Errors in pixels take it for a resize.

    Attributes:
        decode_factor: how much larger than what the model sees images must be, as a transform enlarges a part.

    Raises:
        LightningTasksError: on first use, where files or settings cannot be used.
    """

    decode_factor: ClassVar[float]
    collate: Callable[[Any], Any]
    train_set: Any
    valid_set: Any
    test_set: Any

    def __init__(
        self,
        root: str,
        csv: str,
        images: str = ".",
        test_csv: str | None = None,
        test_images: str | None = None,
        size: int | tuple[int, int] = 128,
        start_size: int | None = None,
        train_size: int | None = None,
        batch_size: int = 64,
        num_workers: int | None = None,
        cache: CacheKind = "auto",
        cache_dir: str | None = None,
        cache_limit_gb: float = 16.0,
        decode_side: int | None = None,
        white_level: int | None = None,
        device_cache: bool = False,
        on_bad_image: OnBadImage = "error",
        max_bad_fraction: float = 0.01,
        allow_outside: bool = False,
        valid_fraction: float = 0.2,
        fold: int | None = None,
        folds: int = 5,
        split_seed: int = 42,
        stratify: bool = True,
        train_on_valid: bool = False,
        oversample_threshold: float = 0.0,
        seed: int = 42,
        splitter: Splitter | None = None,
        train_transform: A.Compose | None = None,
        valid_transform: A.Compose | None = None,
    ) -> None:
        super().__init__()
        # For the checkpoint; the loggers get the model's, and Lightning allows no name to stand in both.
        self.save_hyperparameters(
            ignore=["splitter", "train_transform", "valid_transform", *NOT_IN_CHECKPOINT], logger=False
        )
        self.root = Path(expand_path(root))
        self.csv = self.in_root(csv)
        self.images = self.in_root(images)
        self.test_csv = None if test_csv is None else self.in_root(test_csv)
        self.test_images = self.images if test_images is None else self.in_root(test_images)
        self.allow_outside = allow_outside
        self.valid_fraction = valid_fraction
        self.fold = fold
        self.folds = folds
        self.split_seed = split_seed
        self.stratify = stratify
        self.train_on_valid = train_on_valid
        self.splitter = splitter
        self.image_size = height_and_width(size)
        self.train_sizes = TrainSizes.of(start_size, train_size, self.image_size)
        self.batch_size = batch_size
        self.oversample_threshold = check_threshold(oversample_threshold)
        self.num_workers = num_workers
        self.cache_settings = cache_settings(cache, cache_dir, cache_limit_gb, device_cache)
        has_own_transforms = train_transform is not None or valid_transform is not None
        self.decode_side = side_to_decode(decode_side, self.image_size, self.decode_factor, has_own_transforms)
        self.white_level = check_white_level(white_level, "data.white_level")
        self.device_cache = device_cache
        self.on_bad_image = on_bad_image
        self.max_bad_fraction = max_bad_fraction
        self.seed = seed
        self.train_transform = train_transform
        self.valid_transform = valid_transform
        self.loading = Loading("")

    @abstractmethod
    def make_train_transform(self) -> A.Compose:
        """Return what training images go through where `train_transform` does not say."""

    @abstractmethod
    def make_valid_transform(self) -> A.Compose:
        """Return what validation and test images go through where `valid_transform` does not say."""

    @abstractmethod
    def make_set(self, located: LocatedTable, rows: Rows, split: str, **shared: Any) -> ImageDataset[Any]:  # noqa: ANN401
        """Return the data set of some of a table's rows; `shared`: the arguments of `ImageDataset`."""

    @abstractmethod
    def describe_annotations(self) -> list[str]:
        """Return lines about the table and its split, for a person; these have been read."""

    def mix_batch(self, batch: Any, epoch: int) -> Any:  # noqa: ANN401 - the task's
        """Return a training batch with its images mixed, in a task that mixes them."""
        return batch

    def describe(self) -> str:
        """Return what was found, for a person; reads and checks all of it."""
        self.read_sets("fit", *["test"] * self.has_test_table)
        return "\n".join([*self.describe_annotations(), *self.describe_test(), *describe_white(self.white_level)])

    def one_batch(self) -> Any:  # noqa: ANN401 - the task's
        """Return the first training batch, augmented, read in this process: to look at."""
        self.read_sets("fit")
        batch = next(iter(self._loader(self.train_set, training=True, num_workers=0)))
        return self.mix_batch(batch, epoch=0)

    def on_after_batch_transfer(self, batch: Batch | PlannedBatch, dataloader_idx: int) -> Batch:
        """Transform images that the device has, and mix and downscale a training batch, on the device."""
        if isinstance(batch, PlannedBatch):
            assert self.loading.device_images is not None
            batch = batch.batch._replace(images=self.loading.device_images.render(batch.planned))
        if not self.trainer or not self.trainer.training:
            return batch
        epoch = self.trainer.current_epoch
        mixed: Batch = self.mix_batch(batch, epoch)
        return mixed._replace(images=self.train_sizes.reduce(mixed.images, epoch, self.trainer.max_epochs))

    def setup(self, stage: str) -> None:
        """Read the tables and check every row before the first batch; for `fit`, also decode the images once."""
        self.check_tables(stage)
        self._make_sets(stage, through_cache=stage == "fit")

    def read_sets(self, *stages: str) -> None:
        """Read and check the tables of stages, as `check_tables` does, and make their data sets."""
        self.check_tables(*stages)
        for stage in stages:
            self._make_sets(stage)

    def _make_sets(self, stage: str, *, through_cache: bool = False) -> None:
        splits = self._splits_of(stage)
        self._settle_white_level({split.name: split.paths for split in splits})
        if through_cache:
            self.loading, stores = load_through_cache(
                self.root.name,
                splits,
                self.cache_settings,
                self.decode_side,
                self.white_level,
                self.on_bad_image == "skip",
                self.image_size if self.device_cache else None,
                self.trainer,
            )
        else:
            stores = [ImageStore(split.paths, self.decode_side, self.white_level) for split in splits]
        on_device = through_cache and self.loading.device_images is not None
        for (name, located, rows, transform), images in zip(splits, stores, strict=True):
            made = self.make_set(
                located,
                rows,
                name,
                images=images,
                transform=transform,
                seed=self.seed,
                groups=groups_of(located.table, rows),
                on_device=on_device,
                skipped=Skipped(name, images.paths, self.max_bad_fraction) if self.on_bad_image == "skip" else None,
            )
            setattr(self, _SETS[name], made)

    def _splits_of(self, stage: str) -> list[Split]:
        valid_transform = self.valid_transform or self.make_valid_transform()
        if stage == "test":
            return [Split("test", self.located_test, self.test_rows(self.located_test.table), valid_transform)]
        train, valid = self.split
        validation = Split("validation", self.located, valid, valid_transform)
        if stage != "fit":
            return [validation]
        return [Split("training", self.located, train, self.train_transform or self.make_train_transform()), validation]

    def _settle_white_level(self, paths: Mapping[str, Sequence[Path]]) -> None:
        """Find which value is white in the files of each split, unless it was given."""
        if self.white_level is None:
            self.white_level = find_white_level(paths, str(self.csv))
            if "white_level" in self.hparams:  # of a module that takes it
                self.hparams["white_level"] = self.white_level
        elif self.white_level == FULL and "test" in paths:  # training has not seen them
            doubt(paths["test"], "test", str(self.csv))

    def train_dataloader(self) -> DataLoader[Any]:
        """Return shuffled, augmented batches."""
        return self._loader(self.train_set, training=True)

    def val_dataloader(self) -> DataLoader[Any]:
        """Return the validation split in the table's order."""
        return self._loader(self.valid_set, training=False)

    def test_dataloader(self) -> DataLoader[Any]:
        """Return the test table in its order."""
        return self._loader(self.test_set, training=False)

    def predict_dataloader(self) -> DataLoader[Any]:
        """Return what `Trainer.predict` predicts: the validation split in its order, as `get_preds` does."""
        return self.val_dataloader()

    def _loader(self, dataset: ImageDataset[Any], *, training: bool, num_workers: int | None = None) -> DataLoader[Any]:
        trainer, given = self.trainer, self.num_workers if num_workers is None else num_workers
        collate = partial(collate_planned, self.collate) if dataset.on_device else self.collate
        samples, collate = skip_unreadable(dataset, dataset.skipped, collate, training)
        return make_loader(
            samples,
            collate,
            n=len(dataset),
            training=training,
            batch_size=self.batch_size,
            num_workers=workers_for(trainer) if given is None else given,
            seed=self.seed,
            rank=trainer.global_rank if trainer else 0,
            world_size=trainer.world_size if trainer else 1,
            repeat_factors=self.repeat_factors() if training else None,
        )
