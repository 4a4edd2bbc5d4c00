"""What the data modules share."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import albumentations as A
from torch.utils.data import DataLoader

from lightning_tasks.data.checked_tables import CheckedTables
from lightning_tasks.data.images.cache import CacheSettings
from lightning_tasks.data.images.decode import Size
from lightning_tasks.data.images.depth import FULL
from lightning_tasks.data.images.store import ImageStore
from lightning_tasks.data.images.white_level import doubt, find_white_level
from lightning_tasks.data.loading.cached import Loading, load_through_cache, split_loader
from lightning_tasks.data.loading.dataset import ImageDataset
from lightning_tasks.data.loading.skipping import OnBadImage, Skipped
from lightning_tasks.data.tables.file_checks import LocatedTable
from lightning_tasks.data.tables.splits import Rows


class ImageDataModule(CheckedTables):
    """Images and what is annotated of them, from tables; batches of them for training, validation and testing."""

    image_size: Size
    batch_size: int
    num_workers: int | None
    cache_settings: CacheSettings
    decode_side: int
    device_cache: bool
    white_level: int | None = None
    on_bad_image: OnBadImage
    max_bad_share: float
    loading: Loading
    seed: int
    valid_transform: A.Compose
    train_set: Any
    valid_set: Any
    test_set: Any
    collate: Callable[[Any], Any]

    @property
    @abstractmethod
    def transform_of_training(self) -> A.Compose:
        """What training images go through."""

    @abstractmethod
    def _make_set(
        self, images: ImageStore, located: LocatedTable, rows: Rows, transform: A.Compose, split: str
    ) -> ImageDataset[Any]:
        """Return the data set of some of a table's rows, whose N images are `images`."""

    def read_sets(self, *stages: str) -> None:
        """Read and check the tables of stages, as `check_tables` does, and make their data sets."""
        self.check_tables(*stages)
        for stage in stages:
            self._read_sets(stage)

    def _read_sets(self, stage: str) -> None:
        if stage == "test":
            rows = self.test_rows(self.located_test.table)
            self.test_set = self._dataset(self.located_test, rows, self.valid_transform, "test")
            self._settle_white_level(test=self.test_set)
            return
        train, valid = self.split
        if stage == "fit":
            self.train_set = self._dataset(self.located, train, self.transform_of_training, "training")
        self.valid_set = self._dataset(self.located, valid, self.valid_transform, "validation")
        self._settle_white_level(**({"training": self.train_set} if stage == "fit" else {}), validation=self.valid_set)

    def _dataset(self, located: LocatedTable, rows: Rows, transform: A.Compose, split: str) -> Any:  # noqa: ANN401 - of the task
        images = ImageStore(located.files.paths(rows), self.decode_side)
        dataset = self._make_set(images, located, rows, transform, split)
        if self.on_bad_image == "skip":
            dataset.skipped = Skipped(split, images.paths, self.max_bad_share)
        return dataset

    def _settle_white_level(self, **splits: ImageDataset[Any]) -> None:
        """Find which value is white, unless it was given, and read the images of these by it."""
        paths = {split: dataset.paths for split, dataset in splits.items()}
        if self.white_level is None:
            self.white_level = find_white_level(paths, str(self.csv))
            if "white_level" in self.hparams:  # of a module that takes it
                self.hparams["white_level"] = self.white_level
        elif self.white_level == FULL and "test" in paths:  # training has not seen them
            doubt(paths["test"], "test", str(self.csv))
        for dataset in splits.values():
            dataset.images.white_level = self.white_level

    def setup(self, stage: str) -> None:
        """Read the tables and check every row before the first batch; for `fit`, also decode the images once."""
        self.read_sets(stage)
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

    def _loader(self, dataset: ImageDataset[Any], *, training: bool, num_workers: int | None = None) -> DataLoader[Any]:
        given = self.num_workers if num_workers is None else num_workers
        return split_loader(dataset, self.collate, training, self.batch_size, given, self.seed, self.trainer)
