"""The DataModule for images with labels, from anybody's csv."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import albumentations as A
import numpy as np
import pandas as pd

from lightning_tasks.data.datamodule import ImageDataModule
from lightning_tasks.data.loading.dataset import sample_seed
from lightning_tasks.data.tables.csv_table import OnError, is_image_set, raise_error
from lightning_tasks.data.tables.file_checks import LocatedTable
from lightning_tasks.data.tables.splits import Rows
from lightning_tasks.data.tables.table_checks import Problem
from lightning_tasks.data.tables.unused_columns import TaskColumns
from lightning_tasks.errors import ConfigError
from lightning_tasks.tasks.multilabel.batch import IGNORED, MultiLabelBatch
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
from lightning_tasks.tasks.multilabel.mixing import check_mixing, mix
from lightning_tasks.tasks.multilabel.summary import describe_labels
from lightning_tasks.tasks.multilabel.table import (
    LABEL_COLUMNS,
    build_vocab,
    checked_vocab,
    encode_labels,
    read_multilabel_table,
)
from lightning_tasks.tasks.multilabel.transforms import crop_train, crop_valid

Difficult = Literal["ignored", "negative"]


class MultiLabelDataModule(ImageDataModule):
    """Images and their labels from a csv `fname,labels[,difficult][,group][,is_valid][,split]`.

    Args:
        root: the data set's folder.
        csv: the table, in root.
        label_separator: stands between labels in a cell; `auto`: white space, and it is said where that seems to tear
            names apart; `none`: each cell is one label. Lists as Python and JSON write them are read as such anyway.
        difficult: what a label that stands in the column `difficult` counts as: `ignored` in loss and metrics, as in
            VOC's own scores, or `negative`, as if the image had it not.
        min_scale: the smallest share of an image that a training crop shows.
        flip_p: how likely a training image is mirrored; fastai's chapter does not.
        val_xtra: outside training, how much larger than `size` the image is squashed, whose centre is seen; 0: all.
        mixup_alpha: above 0, blend training images and their targets; see `mix`.
        cutmix_alpha: above 0, paste parts of training images into each other; see `mix`.
        vocab: the labels; None: those of the training split, sorted. Words for nothing, such as `None` or `NA`, are
            labels only where they are named here.
        kwargs: see `ImageDataModule`.

    Raises:
        LightningTasksError: on first use, where files or settings cannot be used.
    """

    collate = staticmethod(collate_multilabel)
    decode_factor = 2  # a crop of .35 of the area is half as high or wide as the image

    def __init__(
        self,
        root: str,
        csv: str = "labels.csv",
        label_separator: str = AUTO,
        difficult: Difficult = "ignored",
        min_scale: float = 0.35,
        flip_p: float = 0.0,
        val_xtra: float = 0.14,
        mixup_alpha: float = 0.0,
        cutmix_alpha: float = 0.0,
        vocab: list[str] | None = None,
        **kwargs: Any,  # noqa: ANN401 - the parent's
    ) -> None:
        super().__init__(root=root, csv=csv, **kwargs)
        self.label_separator = label_separator
        self.difficult = difficult
        check_mixing(mixup_alpha, cutmix_alpha)
        self.mixup_alpha = mixup_alpha
        self.cutmix_alpha = cutmix_alpha
        self._crops = crop_train(self.image_size, min_scale, flip_p), crop_valid(self.image_size, val_xtra)
        self._given_vocab = checked_vocab(vocab)

    def make_train_transform(self) -> A.Compose:
        """Return random crops."""
        return self._crops[0]

    def make_valid_transform(self) -> A.Compose:
        """Return a squash and the centre of it."""
        return self._crops[1]

    def read_table(self, path: Path, on_error: OnError = raise_error) -> pd.DataFrame:
        """Return the checked table of a file; `on_error`: what is done about a row that cannot be used."""
        return read_multilabel_table(path, self.label_separator, on_error, self._given_vocab or ())

    def task_columns(self, table: pd.DataFrame) -> TaskColumns:
        """Return that labels are read, and which of them are difficult."""
        return TaskColumns(LABEL_COLUMNS)

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

    def describe_annotations(self) -> list[str]:
        """Return lines about the table and its split, for a person; these have been read."""
        return describe_labels(self.root, self.table, self.split, self.vocab, self.difficult)

    def mix_batch(self, batch: MultiLabelBatch, epoch: int) -> MultiLabelBatch:
        """Return the batch with its images mixed, where that is asked for."""
        if not (self.mixup_alpha or self.cutmix_alpha):
            return batch  # before a device is waited for
        seed = sample_seed(self.seed, epoch, int(batch.rows[0]))  # of nothing that a restart would not know
        return mix(batch, self.mixup_alpha, self.cutmix_alpha, seed)

    def make_set(self, located: LocatedTable, rows: Rows, split: str, **shared: Any) -> MultiLabelDataset:  # noqa: ANN401
        """Return the data set of some of a table's rows; see `ImageDataModule`."""
        difficult = IGNORED if self.difficult == "ignored" else 0
        targets = encode_labels(located.table, rows, self.vocab, located.source, difficult)
        return MultiLabelDataset(targets=targets, **shared)
