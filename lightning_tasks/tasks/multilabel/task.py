"""The task `multilabel`, put together."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pytorch_lightning import Callback
from torch import Tensor

from lightning_tasks.data.images.decode import read_image
from lightning_tasks.data.tables.splits import Rows
from lightning_tasks.data.tables.table_checks import Problem
from lightning_tasks.data.transforms.tensor_resize import Preprocess
from lightning_tasks.reports.grid import to_arrays
from lightning_tasks.tasks.capabilities import ThresholdChoice
from lightning_tasks.tasks.config_draft import ConfigDraft, OwnTable
from lightning_tasks.tasks.multilabel.batch import MultiLabelBatch
from lightning_tasks.tasks.multilabel.callbacks import ThresholdCurve
from lightning_tasks.tasks.multilabel.choose_thresholds import choose_thresholds
from lightning_tasks.tasks.multilabel.classifier import MultiLabelClassifier
from lightning_tasks.tasks.multilabel.datamodule import MultiLabelDataModule
from lightning_tasks.tasks.multilabel.draft import draft_labels
from lightning_tasks.tasks.multilabel.draw import draw_batch, draw_results
from lightning_tasks.tasks.multilabel.grad_cam import GradCam
from lightning_tasks.tasks.multilabel.output import LabelFormat, LabelModule
from lightning_tasks.tasks.multilabel.predictions import LabelPredictions, predict_labels
from lightning_tasks.tasks.multilabel.summary import count_labels, describe_sample
from lightning_tasks.tasks.multilabel.thresholds import Aim
from lightning_tasks.tasks.split_predictions import Split
from lightning_tasks.tasks.task import Task


class MultiLabel(Task):
    """Which labels does an image carry? Any number of them."""

    name = "multilabel"
    names_key = "vocab"
    datamodule = MultiLabelDataModule
    model: ClassVar[type[MultiLabelClassifier]] = MultiLabelClassifier
    val_xtra = 0.14
    targets = "labels"
    header = "fname,labels"

    # --- configs ---

    def recognises(self, header: Sequence[str]) -> bool:
        """Return whether there is a column of labels."""
        return "labels" in header

    def draft_config(self, table: OwnTable) -> ConfigDraft:
        """Return what a config says of the data."""
        return draft_labels(table)

    # --- data ---

    def find_problems(
        self,
        datamodule: MultiLabelDataModule,
        table: pd.DataFrame,
        train: Rows,
        valid: Rows,
        sizes_px: NDArray[np.int64],
        min_positives: int,
    ) -> list[Problem]:
        """Return what is wrong with a table."""
        return datamodule.find_problems(table, train, valid, min_positives)

    def describe_sample(self, datamodule: MultiLabelDataModule, row: int) -> list[str]:
        """Return how often each label occurs, and what happens to a sample."""
        counts = count_labels(datamodule.vocab, datamodule.train_set, datamodule.valid_set)
        return [*counts, "", *describe_sample(datamodule.train_set, datamodule.vocab, row)]

    def draw_batch(self, batch: MultiLabelBatch, datamodule: MultiLabelDataModule, originals: bool = False) -> Figure:
        """Draw images with their labels above."""
        paths = [datamodule.train_set.paths[row] for row in batch.rows] if originals else []
        return draw_batch(batch, datamodule.vocab, [read_image(p, white_level=datamodule.white_level) for p in paths])

    # --- training ---

    def callbacks(self, model: MultiLabelClassifier) -> list[Callback]:
        """Return what draws the accuracy at each threshold."""
        return [ThresholdCurve()]

    def draw_results(self, batch: MultiLabelBatch, outputs: Tensor, model: MultiLabelClassifier) -> Figure:
        """Draw images with their labels above and the predicted ones below."""
        return draw_results(to_arrays(batch.images), batch.targets, outputs, model.vocab, model.predicted(outputs))

    # --- a split ---

    def predict_split(
        self, model: MultiLabelClassifier, datamodule: MultiLabelDataModule, split: Split = "valid"
    ) -> LabelPredictions:
        """Return the labels' probabilities."""
        return predict_labels(model, datamodule, split)

    # --- a checkpoint ---

    def inference_module(self, model: MultiLabelClassifier, preprocess: Preprocess) -> LabelModule:
        """Return a trained classifier as programs run it."""
        return LabelModule(model, preprocess)

    def output_format(self, model: MultiLabelClassifier, data_settings: Mapping[str, Any]) -> LabelFormat:
        """Return what its outputs mean."""
        assert model.thresholds is not None  # else it is a MultiClassClassifier
        return LabelFormat(tuple(model.vocab), model.thresholds.cpu().numpy(), model.temperature)

    # --- what only some tasks offer ---

    def grad_cam(self, model: MultiLabelClassifier, label: str) -> GradCam:
        """Return where in images a label comes from."""
        return GradCam(model, label)

    def choose_thresholds(
        self,
        model: MultiLabelClassifier,
        predict: Callable[[], LabelPredictions],  # type: ignore[override]  # of its own model
        aim: Aim = "f1",
        recall: float = 0.8,
        each_label: bool = True,
        calibrate: bool = False,
    ) -> ThresholdChoice:
        """Return from which probability on a label is predicted."""
        return choose_thresholds(predict(), model.temperature, aim, recall, each_label, calibrate)
