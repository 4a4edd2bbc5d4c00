"""The task `multiclass`, put together."""

from collections.abc import Mapping
from typing import Any

from lightning_tasks.tasks.multiclass.classifier import MultiClassClassifier
from lightning_tasks.tasks.multiclass.datamodule import MultiClassDataModule
from lightning_tasks.tasks.multiclass.one_label import check_one_label
from lightning_tasks.tasks.multiclass.output import ClassFormat, class_format
from lightning_tasks.tasks.multiclass.predictions import ClassPredictions
from lightning_tasks.tasks.multilabel.classifier import MultiLabelClassifier
from lightning_tasks.tasks.multilabel.datamodule import MultiLabelDataModule
from lightning_tasks.tasks.multilabel.predictions import LabelPredictions, predict_labels
from lightning_tasks.tasks.multilabel.task import MultiLabel
from lightning_tasks.tasks.split_predictions import Split


class MultiClass(MultiLabel):
    """Which of the labels does an image carry? Exactly one of them."""

    name = "multiclass"
    datamodule = MultiClassDataModule
    model = MultiClassClassifier

    def wrote(self, hyper_parameters: Mapping[str, Any]) -> bool:
        """Return whether a checkpoint is of this task: its loss says so, in old ones too."""
        return super().wrote(hyper_parameters) and hyper_parameters.get("loss") == "cross_entropy"

    # A split
    def predict_split(
        self, model: MultiLabelClassifier, datamodule: MultiLabelDataModule, split: Split = "valid"
    ) -> LabelPredictions:
        """Return the labels' probabilities, where each image has exactly one."""
        datamodule.check_tables("test" if split == "test" else "fit")
        check_one_label(datamodule)
        return predict_labels(model, datamodule, split, ClassPredictions)

    # A checkpoint
    def output_format(self, model: MultiLabelClassifier, data_settings: Mapping[str, Any]) -> ClassFormat:
        """Return what its outputs mean."""
        return class_format(model)
