"""The task `multilabel`, put together."""

from typing import ClassVar

from lightning_tasks.tasks.multilabel.classifier import MultiLabelClassifier
from lightning_tasks.tasks.multilabel.datamodule import MultiLabelDataModule
from lightning_tasks.tasks.task import Task


class MultiLabel(Task):
    """Which labels does an image carry? Any number of them."""

    name = "multilabel"
    names_key = "vocab"
    datamodule = MultiLabelDataModule
    model: ClassVar[type[MultiLabelClassifier]] = MultiLabelClassifier
