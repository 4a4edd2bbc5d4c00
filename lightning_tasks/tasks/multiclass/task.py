"""The task `multiclass`, put together."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytorch_lightning import Callback

from lightning_tasks.tasks.capabilities import ThresholdAim, ThresholdChoice
from lightning_tasks.tasks.multiclass.classifier import MultiClassClassifier
from lightning_tasks.tasks.multiclass.datamodule import MultiClassDataModule
from lightning_tasks.tasks.multiclass.one_label import check_one_label
from lightning_tasks.tasks.multiclass.output import ClassFormat
from lightning_tasks.tasks.multiclass.predictions import ClassPredictions
from lightning_tasks.tasks.multilabel.classifier import MultiLabelClassifier
from lightning_tasks.tasks.multilabel.datamodule import MultiLabelDataModule
from lightning_tasks.tasks.multilabel.predictions import predict_values
from lightning_tasks.tasks.multilabel.task import MultiLabel
from lightning_tasks.tasks.split_predictions import Split, SplitPredictions, loader_of
from lightning_tasks.tasks.task import Task


class MultiClass(MultiLabel):
    """Which of the labels does an image carry? Exactly one of them."""

    name = "multiclass"
    datamodule = MultiClassDataModule
    model = MultiClassClassifier

    def wrote(self, hyper_parameters: Mapping[str, Any]) -> bool:
        """Return whether a checkpoint is of this task: its loss says so, in old ones too."""
        return super().wrote(hyper_parameters) and hyper_parameters.get("loss") == "cross_entropy"

    def recognises(self, header: Sequence[str]) -> bool:
        """Return False: the columns are those of any labels, and `init` drafts a config for these."""
        return False

    def callbacks(self, model: MultiLabelClassifier) -> list[Callback]:
        """Return none: there are no thresholds."""
        return []

    def predict_split(
        self, model: MultiLabelClassifier, datamodule: MultiLabelDataModule, split: Split = "valid"
    ) -> ClassPredictions:
        """Return the labels' probabilities, where each image has exactly one."""
        loader = loader_of(datamodule, split)
        check_one_label(datamodule)  # the data module of any labels does not
        return ClassPredictions(**predict_values(model, loader, datamodule, split))

    def choose_thresholds(
        self,
        model: MultiLabelClassifier,
        predict: Callable[[], SplitPredictions],
        aim: ThresholdAim = "f1",
        recall: float = 0.8,
        each_label: bool = True,
        calibrate: bool = False,
    ) -> ThresholdChoice:
        """Raise ConfigError: the likeliest label is predicted."""
        return Task.choose_thresholds(self, model, predict)

    def output_format(self, model: MultiLabelClassifier, data_settings: Mapping[str, Any]) -> ClassFormat:
        """Return what its outputs mean."""
        return ClassFormat(tuple(model.vocab), None, model.temperature)
