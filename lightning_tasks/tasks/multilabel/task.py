"""The task `multilabel`, put together."""

from collections.abc import Mapping
from typing import Any, ClassVar

from lightning_tasks.data.transforms.tensor_resize import Preprocess
from lightning_tasks.tasks.multilabel.classifier import MultiLabelClassifier
from lightning_tasks.tasks.multilabel.datamodule import MultiLabelDataModule
from lightning_tasks.tasks.multilabel.output import LabelFormat, LabelModule, label_format
from lightning_tasks.tasks.task import Task


class MultiLabel(Task):
    """Which labels does an image carry? Any number of them."""

    name = "multilabel"
    names_key = "vocab"
    datamodule = MultiLabelDataModule
    model: ClassVar[type[MultiLabelClassifier]] = MultiLabelClassifier
    val_xtra = 0.14

    def inference_module(self, model: MultiLabelClassifier, preprocess: Preprocess) -> LabelModule:
        """Return a trained classifier as programs run it."""
        return LabelModule(model, preprocess)

    def output_format(self, model: MultiLabelClassifier, data_settings: Mapping[str, Any]) -> LabelFormat:
        """Return what its outputs mean."""
        return label_format(model)
