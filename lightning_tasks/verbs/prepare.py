"""The data is got, checked and described."""

import pytorch_lightning as pl

from lightning_tasks.data.datamodule import ImageDataModule
from lightning_tasks.tasks.registry import find_task


def run(trainer: pl.Trainer, model: None, datamodule: ImageDataModule) -> None:
    """Get the data if it is not there, read and check its tables, and say what was found."""
    datamodule.prepare_data()
    if find_task(datamodule) is not None:
        print(datamodule.describe())
