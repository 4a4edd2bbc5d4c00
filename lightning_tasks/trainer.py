"""Lightning's Trainer with the project's extra verbs."""

import pytorch_lightning as pl

from lightning_tasks.data import KeypointDataModule, MultiLabelDataModule


class Trainer(pl.Trainer):
    """Lightning's Trainer; each further verb is a few lines that call into the folders below."""

    def prepare(self, model: None, datamodule: pl.LightningDataModule) -> None:
        """Get the data if it is not there, read and check its tables, and say what was found."""
        datamodule.prepare_data()
        if isinstance(datamodule, (MultiLabelDataModule, KeypointDataModule)):
            print(datamodule.describe())
