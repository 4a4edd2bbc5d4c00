"""The data is got, checked and described."""

import pytorch_lightning as pl

from lightning_tasks.data.datamodule import ImageDataModule


def run(trainer: pl.Trainer, model: None, datamodule: pl.LightningDataModule) -> None:
    """Get the data if it is not there, read and check its tables, and say what was found."""
    datamodule.prepare_data()
    if isinstance(datamodule, ImageDataModule):
        print(datamodule.describe())
