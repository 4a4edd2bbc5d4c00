"""The DataModule for images with labels, from anybody's csv."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Literal

import albumentations as A
import numpy as np
import pandas as pd

from lightning_tasks.batch import IGNORED, MultiLabelBatch, PlannedBatch
from lightning_tasks.data.datamodule import ImageDataModule
from lightning_tasks.data.describe import describe_white
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
from lightning_tasks.data.loading.dataset import sample_seed
from lightning_tasks.data.loading.skipping import OnBadImage
from lightning_tasks.data.tables.csv_table import Complain, groups_of, is_image_set, raise_at_once
from lightning_tasks.data.tables.file_checks import LocatedTable
from lightning_tasks.data.tables.splits import Rows, Splitter
from lightning_tasks.data.tables.table_checks import Problem
from lightning_tasks.data.transforms.compose import crop_train, crop_valid, height_and_width
from lightning_tasks.data.transforms.mixing import check_mixing, mix
from lightning_tasks.data.transforms.progressive import check_start, reduced, size_of_epoch
from lightning_tasks.errors import ConfigError
from lightning_tasks.filesystem import expanded
from lightning_tasks.tasks.multilabel.dataset import MultiLabelDataset, collate_multilabel
from lightning_tasks.tasks.multilabel.label_cells import AUTO, BLANK, WHOLE
from lightning_tasks.tasks.multilabel.label_checks import (
    FEW,
    alike_labels,
    few_positives,
    nothing_counts,
    unknown_labels,
)
from lightning_tasks.tasks.multilabel.label_doubts import separator_problems
from lightning_tasks.tasks.multilabel.summary import describe_labels
from lightning_tasks.tasks.multilabel.table import (
    LABEL_COLUMNS,
    build_vocab,
    checked_vocab,
    encode_labels,
    read_multilabel_table,
    require_one_label,
)

Difficult = Literal["ignored", "negative"]
DECODE_FACTOR = 2  # a crop of .35 of the area is half as high or wide as the image


class MultiLabelDataModule(ImageDataModule):
    """Images and their labels from a csv `fname,labels[,difficult][,group][,is_valid][,split]`.

    Args:
        root: the data set's folder.
        csv: the table, in root.
        images: the folder in root that file names start from.
        test_csv: the table of the test images, in root; the `test` verb needs it. Of one with a column `split`, which
            may be `csv` itself, the rows marked test.
        test_images: the folder of the test images; None: `images`.
        label_separator: stands between labels in a cell; `auto`: white space, and it is said where that seems to tear
            names apart; `none`: each cell is one label. Lists as Python and JSON write them are read as such anyway.
        difficult: what a label that stands in the column `difficult` counts as: `ignored` in loss and metrics, as in
            VOC's own scores, or `negative`, as if the image had it not.
        size: side of the square the model sees, or height and width.
        start_size: training begins with images reduced to this smaller side, and grows to `size` over the epochs in
            steps of 32 pixels: progressive resizing. None: `size` throughout.
        min_scale: the smallest share of an image that a training crop shows.
        flip_p: how likely a training image is mirrored; the book does not.
        val_xtra: outside training, how much larger than `size` the image is squashed, whose centre is seen; 0: all.
        mixup_alpha: above 0, blend training images and their targets; see `mix`.
        cutmix_alpha: above 0, paste parts of training images into each other; see `mix`.
        batch_size: images in a batch, of each process.
        num_workers: processes that load; None: chosen from cores and device.
        cache: where decoded images are kept for the epochs to come: `disk`, one file that all processes map; `ram`,
            the same in memory; `none`; `auto`: disk where it fits.
        cache_dir: the folder of the cache on disk; None: the user's cache folder.
        cache_limit_gb: no cache is larger.
        decode_side: images are reduced to this shorter side when they are read, and so kept; 0: not at all; None:
            twice the smaller side of `size`, and 0 with transforms from Python.
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
        train_on_valid: train on the validation rows too, before a last `test`; their own scores then say nothing.
        seed: of order and augmentation.
        vocab: the labels; None: those of the training split, sorted. Words for nothing, such as `None` or `NA`, are
            labels only where they are named here.
        splitter: from Python: table → (training rows, validation rows).
        train_transform: from Python: an albumentations Compose in place of the book's.
        valid_transform: likewise for validation and test.

    Raises:
        LightningTasksError: on first use, where files or settings cannot be used.
    """

    collate = staticmethod(collate_multilabel)
    label_columns = LABEL_COLUMNS

    def __init__(
        self,
        root: str,
        csv: str = "labels.csv",
        images: str = ".",
        test_csv: str | None = None,
        test_images: str | None = None,
        label_separator: str = AUTO,
        difficult: Difficult = "ignored",
        size: int | tuple[int, int] = 128,
        start_size: int | None = None,
        min_scale: float = 0.35,
        flip_p: float = 0.0,
        val_xtra: float = 0.14,
        mixup_alpha: float = 0.0,
        cutmix_alpha: float = 0.0,
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
        train_on_valid: bool = False,
        seed: int = 42,
        vocab: list[str] | None = None,
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
        self.label_separator = label_separator
        self.difficult = difficult
        check_mixing(mixup_alpha, cutmix_alpha)
        self.mixup_alpha = mixup_alpha
        self.cutmix_alpha = cutmix_alpha
        self.image_size = height_and_width(size)
        self.start_size = check_start(start_size, self.image_size)
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
        self.train_on_valid = train_on_valid
        self.seed = seed
        self.splitter = splitter
        self.train_transform = train_transform or crop_train(self.image_size, min_scale, flip_p)
        self.valid_transform = valid_transform or crop_valid(self.image_size, val_xtra)
        self._given_vocab = checked_vocab(vocab)

    def read_table(self, path: Path, complain: Complain = raise_at_once) -> pd.DataFrame:
        """Return the checked table of a file; `complain`: what is done about a row that cannot be used."""
        return read_multilabel_table(path, self.label_separator, complain, self._given_vocab or ())

    def points_of(self, table: pd.DataFrame) -> list[str]:
        """Return none: labels have no points."""
        return []

    @cached_property
    def vocab(self) -> list[str]:
        """The labels, in the order of the targets' columns."""
        vocab = self._given_vocab or build_vocab(self.table["labels"].iloc[self.split[0]])
        if not vocab:
            raise ConfigError(f"{self.csv}: no image of the training split has a label. {self._way_to_labels()}")
        return vocab

    def _way_to_labels(self) -> str:
        drawn = self.how_drawn(self.table)
        if drawn is None or not build_vocab(self.table["labels"]):
            return "Fill the column 'labels'."
        return f"Other rows have one, but {drawn} and left them out: take another --data.split_seed."

    @property
    def one_row_each(self) -> str:
        """What to do about several rows of one image that differ."""
        between = BLANK if self.label_separator == AUTO else self.label_separator
        named = ", and say with --data.label_separator what stands between them" if between == WHOLE else ""
        return f"Put all labels of an image into one row{named or f', with {between!r} between them'}."

    def find_problems(self, table: pd.DataFrame, train: Rows, valid: Rows, min_positives: int = FEW) -> list[Problem]:
        """Return what is wrong with a table as a whole; see `ImageDataModule`.

        Args:
            table: as `read_table` returns it.
            train: its rows for training.
            valid: and for validation.
            min_positives: fewer training images with a label are few.
        """
        return [
            *super().find_problems(table, train, valid),
            *([] if is_image_set(self.csv) else separator_problems(self.csv, self.label_separator)),
            *alike_labels(table, np.concatenate([train, valid]), self.csv, self._given_vocab),
            *unknown_labels(table, train, valid, self.csv, self._given_vocab, self.how_drawn(table)),
            *few_positives(table, train, self._given_vocab, min_positives),
            *self._nothing_counts(table, {"training": train, "validation": valid}, train, self.csv),
        ]

    def find_test_problems(self, table: pd.DataFrame) -> list[Problem]:
        """Return what is wrong with the test table as a whole; see `ImageDataModule`."""
        assert self.test_csv is not None
        rows = self.test_rows(table)
        ignored = self._nothing_counts(table, {"testing": rows}, rows, self.test_csv)
        return super().find_test_problems(table) + ignored

    def _nothing_counts(
        self, table: pd.DataFrame, splits: Mapping[str, Rows], of_vocab: Rows, source: Path
    ) -> list[Problem]:
        if self.difficult != "ignored":
            return []
        vocab = self._given_vocab or build_vocab(table["labels"].iloc[of_vocab])
        return nothing_counts(table, splits, source, vocab)

    def require_one_label(self) -> None:
        """Raise TableError at the first row of the tables read so far that does not have exactly one label."""
        if "table" in self.__dict__:  # a cached_property that was asked for
            require_one_label(self.table, np.union1d(*self.split), self.csv)
        if self.test_csv is not None and "located_test" in self.__dict__:
            table = self.located_test.table
            require_one_label(table, self.test_rows(table), self.test_csv)

    def describe(self) -> str:
        """Return what was found, for a person; reads and checks all of it."""
        self.read_sets("fit", *["test"] * self.has_test_table)
        lines = describe_labels(self.root, self.table, self.split, self.vocab, self.difficult)
        return "\n".join([*lines, *self.describe_test(), *describe_white(self.white_level)])

    def one_batch(self) -> MultiLabelBatch:
        """Return the first training batch, augmented, read in this process: to look at."""
        self.read_sets("fit")
        batch: MultiLabelBatch = next(iter(self._loader(self.train_set, training=True, num_workers=0)))
        return self._mixed(batch, epoch=0)

    def on_after_batch_transfer(self, batch: MultiLabelBatch | PlannedBatch, dataloader_idx: int) -> MultiLabelBatch:
        """Transform images that the device has, and mix and reduce a training batch, on the device."""
        made = rendered(batch, self.loading.device_images)
        assert isinstance(made, MultiLabelBatch)
        if not self.trainer or not self.trainer.training:
            return made
        epoch = self.trainer.current_epoch
        mixed = self._mixed(made, epoch)
        if self.start_size is None:
            return mixed
        size = size_of_epoch(epoch, self.trainer.max_epochs, self.start_size, self.image_size)
        return mixed._replace(images=reduced(mixed.images, size))

    def _mixed(self, batch: MultiLabelBatch, epoch: int) -> MultiLabelBatch:
        if not (self.mixup_alpha or self.cutmix_alpha):
            return batch  # before a device is waited for
        seed = sample_seed(self.seed, epoch, int(batch.rows[0]))  # of nothing that a restart would not know
        return mix(batch, self.mixup_alpha, self.cutmix_alpha, seed)

    @property
    def transform_of_training(self) -> A.Compose:
        """What training images go through."""
        return self.train_transform

    def _make_set(
        self, images: ImageStore, located: LocatedTable, rows: Rows, transform: A.Compose, split: str
    ) -> MultiLabelDataset:
        difficult = IGNORED if self.difficult == "ignored" else 0
        targets = encode_labels(located.table, rows, self.vocab, located.source, difficult)
        return MultiLabelDataset(images, targets, transform, self.seed, groups_of(located.table, rows))
