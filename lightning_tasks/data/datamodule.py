"""What the data modules share."""

from abc import abstractmethod
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader

from lightning_tasks.data.cache import CacheSettings
from lightning_tasks.data.datasets import KeypointDataset, MultiLabelDataset
from lightning_tasks.data.images import Size
from lightning_tasks.data.loading import Loading, load_through_cache, split_loader
from lightning_tasks.data.splits import Rows, Splitter, split_table, warn_of_shared_groups
from lightning_tasks.data.table_checks import Problem
from lightning_tasks.data.tables import Complain, raise_at_once, require_folder
from lightning_tasks.filesystem import expanded, is_file


class ImageDataModule(LightningDataModule):
    """Images and what is annotated of them, from a table, with a validation split and perhaps a table for testing."""

    root: Path
    csv: Path
    test_csv: Path | None
    image_size: Size
    batch_size: int
    num_workers: int | None
    cache_settings: CacheSettings
    device_cache: bool
    loading: Loading
    valid_fraction: float
    fold: int | None
    folds: int
    split_seed: int
    train_on_valid = False
    seed: int
    splitter: Splitter | None
    train_set: Any
    valid_set: Any
    test_set: Any
    collate: Callable[[Any], Any]

    def in_root(self, name: str) -> Path:
        """Return a path that the user gave, which starts from the root unless it is absolute."""
        return self.root / expanded(name, self.root)

    @abstractmethod
    def read_table(self, path: Path, complain: Complain = raise_at_once) -> pd.DataFrame:
        """Return the checked table of a file; `complain`: what is done about a row that cannot be used."""

    def find_problems(self, table: pd.DataFrame, train: Rows, valid: Rows) -> list[Problem]:
        """Return what is wrong with a table as a whole, without reading pixels; a task adds its own.

        Args:
            table: as `read_table` returns it.
            train: its rows for training.
            valid: and for validation.
        """
        return []

    @abstractmethod
    def _read_sets(self, stage: str) -> None:
        """Read the tables, check every row, and make the data sets of a stage."""

    @cached_property
    def table(self) -> pd.DataFrame:
        """The checked table."""
        require_folder(self.root)
        return self.read_table(self.csv)

    @cached_property
    def split(self) -> tuple[Rows, Rows]:
        """The rows of training and validation."""
        train, valid = self.split_of(self.table)
        warn_of_shared_groups(self.table, train, valid)
        return (np.union1d(train, valid), valid) if self.train_on_valid else (train, valid)

    def split_of(self, table: pd.DataFrame) -> tuple[Rows, Rows]:
        """Return the rows of training and validation of a table like this module's, by its settings."""
        return split_table(
            table,
            str(self.csv),
            splitter=self.splitter,
            fold=self.fold,
            folds=self.folds,
            valid_fraction=self.valid_fraction,
            seed=self.split_seed,
        )

    @property
    def has_test_table(self) -> bool:
        """Whether there is a table for testing."""
        return self.test_csv is not None and is_file(self.test_csv)

    def setup(self, stage: str) -> None:
        """Read the tables and check every row before the first batch; for `fit`, also decode the images once."""
        self._read_sets(stage)
        if stage == "fit":
            sets = [self.train_set, self.valid_set]
            self.loading = load_through_cache(
                self.root.name, sets, self.cache_settings, self.image_size, self.device_cache, self.trainer
            )

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

    def _loader(
        self, dataset: MultiLabelDataset | KeypointDataset, *, training: bool, num_workers: int | None = None
    ) -> DataLoader[Any]:
        given = self.num_workers if num_workers is None else num_workers
        return split_loader(dataset, self.collate, training, self.batch_size, given, self.seed, self.trainer)
