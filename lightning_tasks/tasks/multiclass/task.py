"""The task `multiclass`, put together."""

from collections.abc import Mapping
from typing import Any

from lightning_tasks.tasks.multiclass.classifier import MultiClassClassifier
from lightning_tasks.tasks.multiclass.datamodule import MultiClassDataModule
from lightning_tasks.tasks.multiclass.output import ClassFormat, class_format
from lightning_tasks.tasks.multilabel.classifier import MultiLabelClassifier
from lightning_tasks.tasks.multilabel.task import MultiLabel


class MultiClass(MultiLabel):
    """Which of the labels does an image carry? Exactly one of them."""

    name = "multiclass"
    datamodule = MultiClassDataModule
    model = MultiClassClassifier

    def wrote(self, hyper_parameters: Mapping[str, Any]) -> bool:
        """Return whether a checkpoint is of this task: its loss says so, in old ones too."""
        return super().wrote(hyper_parameters) and hyper_parameters.get("loss") == "cross_entropy"

    def output_format(self, model: MultiLabelClassifier, data_settings: Mapping[str, Any]) -> ClassFormat:
        """Return what its outputs mean."""
        return class_format(model)
