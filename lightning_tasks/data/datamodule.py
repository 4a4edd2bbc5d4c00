"""What the data modules share."""

from pathlib import Path
from typing import Any

from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader

from lightning_tasks.filesystem import is_file


class ImageDataModule(LightningDataModule):
    """A data module with a validation split, and perhaps a table for testing."""

    test_csv: Path | None

    @property
    def has_test_table(self) -> bool:
        """Whether there is a table for testing."""
        return self.test_csv is not None and is_file(self.test_csv)

    def predict_dataloader(self) -> DataLoader[Any]:
        """Return what `Trainer.predict` predicts: the validation split in its order, as `get_preds` does."""
        loader: DataLoader[Any] = self.val_dataloader()
        return loader
