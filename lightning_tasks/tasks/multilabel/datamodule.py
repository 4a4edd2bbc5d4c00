"""The DataModule for images with labels, from anybody's csv."""

from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import albumentations as A
import numpy as np
import pandas as pd
import torch
from torchvision.transforms.v2 import CutMix, MixUp

from lightning_tasks.batch import TargetBatch
from lightning_tasks.data.datamodule import ImageDataModule
from lightning_tasks.data.loading.dataset import TargetDataset, collate_targets, sample_seed
from lightning_tasks.data.tables.csv_table import OnError, is_image_set, raise_error
from lightning_tasks.data.tables.file_checks import LocatedTable
from lightning_tasks.data.tables.label_cells import AUTO, BLANK, WHOLE
from lightning_tasks.data.tables.splits import Rows, describe_counts
from lightning_tasks.data.tables.stratify import Strata
from lightning_tasks.data.tables.table_checks import Problem, TaskColumns
from lightning_tasks.data.transforms.geometry import crop_train, crop_valid
from lightning_tasks.errors import ConfigError
from lightning_tasks.tasks.multilabel.label_doubts import separator_problems
from lightning_tasks.tasks.multilabel.label_weights import LabelCounts, count_labels
from lightning_tasks.tasks.multilabel.scores import IGNORED
from lightning_tasks.tasks.multilabel.table import (
    FEW,
    LABEL_COLUMNS,
    alike_labels,
    build_vocab,
    checked_vocab,
    encode_labels,
    few_positives,
    label_strata,
    nothing_counts,
    read_multilabel_table,
    unknown_labels,
)

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

    collate = staticmethod(collate_targets)
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
        if min(mixup_alpha, cutmix_alpha) < 0:
            raise ConfigError(
                f"data.mixup_alpha {mixup_alpha} and data.cutmix_alpha {cutmix_alpha} must not be negative; 0 is off."
            )
        self.mixup_alpha = mixup_alpha
        self.cutmix_alpha = cutmix_alpha
        train_size = self.train_sizes.made(self.device_cache)
        self._crops = crop_train(train_size, min_scale, flip_p), crop_valid(self.image_size, val_xtra)
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

    def strata(self, table: pd.DataFrame) -> Strata:
        """Return each row's labels; see `CheckedTables`."""
        return label_strata(table)

    def task_columns(self, table: pd.DataFrame) -> TaskColumns:
        """Return that labels are read, and which of them are difficult."""
        return TaskColumns(LABEL_COLUMNS)

    @cached_property
    def vocab(self) -> list[str]:
        """The labels, in the order of the targets' columns."""
        vocab = self._given_vocab or build_vocab(self.table["labels"].iloc[self.split[0]])
        if not vocab:
            drawn = self.how_drawn(self.table)
            way_out = "Fill the column 'labels'."
            if drawn is not None and build_vocab(self.table["labels"]):
                way_out = f"Other rows have one, but {drawn} and left them out: take another --data.split_seed."
            raise ConfigError(f"{self.csv}: no image of the training split has a label. {way_out}")
        return vocab

    @property
    def one_row_each(self) -> str:
        """What to do about several rows of one image that differ."""
        between = BLANK if self.label_separator == AUTO else self.label_separator
        named = ", and say with --data.label_separator what stands between them" if between == WHOLE else ""
        return f"Put all labels of an image into one row{named or f', with {between!r} between them'}."

    def find_problems(self, table: pd.DataFrame, train: Rows, valid: Rows, min_positives: int = FEW) -> list[Problem]:
        """Return what is wrong with a table as a whole; `min_positives`: fewer training images with a label are few."""
        splits, ignores = {"training": train, "validation": valid}, self.difficult == "ignored"
        return [
            *super().find_problems(table, train, valid),
            *([] if is_image_set(self.csv) else separator_problems(self.csv, self.label_separator)),
            *alike_labels(table, np.concatenate([train, valid]), self.csv, self._given_vocab),
            *unknown_labels(table, train, valid, self.csv, self._given_vocab, self.how_drawn(table)),
            *few_positives(table, train, self._given_vocab, min_positives),
            *(nothing_counts(table, splits, self.csv, self._given_vocab) if ignores else []),
        ]

    def find_test_problems(self, table: pd.DataFrame) -> list[Problem]:
        """Return what is wrong with the test table as a whole; see `ImageDataModule`."""
        assert self.test_csv is not None
        problems = super().find_test_problems(table)
        if self.difficult == "ignored":
            problems += nothing_counts(table, {"testing": self.test_rows(table)}, self.test_csv, self._given_vocab)
        return problems

    def label_counts(self) -> LabelCounts:
        """Return how often the training split, which has been set up, has each label."""
        return count_labels(self.train_set.targets)

    def describe_annotations(self) -> list[str]:
        """Return lines about the table and its split, for a person; these have been read."""
        rows = self.table.iloc[np.union1d(*self.split)]
        difficult = rows["difficult"] if "difficult" in rows.columns else [()] * len(rows)
        cells = [(set(labels), set(hard)) for labels, hard in zip(rows["labels"], difficult, strict=True)]
        positives = sum(len(labels.intersection(self.vocab) - hard) for labels, hard in cells)
        empty = sum(not (labels or hard) for labels, hard in cells)
        lines = [
            describe_counts(self.root, self.table, self.split),
            f"{len(self.vocab)} labels, {positives / len(rows):.2f} an image: {', '.join(self.vocab)}",
        ]
        if empty:
            lines.append(f"{empty:,} images with no label: an empty cell says that an image has none of them")
        if "difficult" in self.table.columns:
            lines.append(f"{self.table['difficult'].map(len).sum():,} difficult ones count as {self.difficult}")
        return lines

    def mix_batch(self, batch: TargetBatch, epoch: int) -> TargetBatch:
        """Return the batch with its images mixed, where that is asked for."""
        if not (self.mixup_alpha or self.cutmix_alpha):
            return batch  # before a device is waited for
        seed = sample_seed(self.seed, epoch, int(batch.rows[0]))  # of nothing that a restart would not know
        return mix(batch, self.mixup_alpha, self.cutmix_alpha, seed)

    def make_set(self, located: LocatedTable, rows: Rows, split: str, **shared: Any) -> TargetDataset:  # noqa: ANN401
        """Return the data set of some of a table's rows; see `ImageDataModule`."""
        difficult = IGNORED if self.difficult == "ignored" else 0
        targets = encode_labels(located.table, rows, self.vocab, located.source, difficult)
        return TargetDataset(targets=targets, **shared)


def mix(batch: TargetBatch, mixup_alpha: float, cutmix_alpha: float, seed: int) -> TargetBatch:
    """Return the batch with each image mixed with its neighbour, and the targets in the same proportion.

    The proportion comes from Beta(alpha, alpha). With both alphas above 0, each batch takes one of the two ways.
    A label that is ignored in one of the two images is ignored in what becomes of them.

    Args:
        batch: B images.
        mixup_alpha: of blending whole images (Zhang et al., "mixup", 2018); 0: never.
        cutmix_alpha: of pasting a rectangle (Yun et al., "CutMix", 2019); 0: never.
        seed: the same seed gives the same mix; torch's own random state is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reset a GPU's too
        choose_mixup = mixup_alpha > 0 and (cutmix_alpha == 0 or bool(torch.rand(()) < 0.5))
        if choose_mixup:
            images, targets = MixUp(alpha=mixup_alpha)(batch.images.float(), batch.targets)
            images = images.round().to(batch.images.dtype)
        else:
            images, targets = CutMix(alpha=cutmix_alpha)(batch.images, batch.targets)
    ignored = batch.targets == IGNORED
    targets = targets.masked_fill(ignored | ignored.roll(1, 0), IGNORED)  # torchvision mixes with the one before
    return TargetBatch(images, targets, batch.rows)
