"""Lightning's Trainer with the project's extra verbs."""

import pytorch_lightning as pl

from lightning_tasks.data import KeypointDataModule, MultiLabelDataModule
from lightning_tasks.training import LRFinder


class Trainer(pl.Trainer):
    """Lightning's Trainer; each further verb is a few lines that call into the folders below."""

    def prepare(self, model: None, datamodule: pl.LightningDataModule) -> None:
        """Get the data if it is not there, read and check its tables, and say what was found."""
        datamodule.prepare_data()
        if isinstance(datamodule, (MultiLabelDataModule, KeypointDataModule)):
            print(datamodule.describe())

    def lr_find(
        self,
        model: pl.LightningModule,
        datamodule: pl.LightningDataModule,
        min_lr: float = 1e-7,
        max_lr: float = 10.0,
        steps: int = 100,
    ) -> LRFinder:
        """Sweep learning rates over the training data, print what the curve suggests, and train nothing.

        Args:
            model: stays as it is.
            datamodule: whose training split is swept over.
            min_lr: where the sweep starts.
            max_lr: where it would end.
            steps: how many batches it takes.
        """
        finder = LRFinder(min_lr, max_lr, steps, only=True)
        self.callbacks.insert(0, finder)  # type: ignore[attr-defined]  # Lightning sets it at run time
        self.fit(model, datamodule=datamodule)
        return finder
