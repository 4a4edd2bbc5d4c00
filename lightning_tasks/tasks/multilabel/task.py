"""The task `multilabel`, put together."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pytorch_lightning import Callback
from torch import Tensor

from lightning_tasks.batch import TargetBatch
from lightning_tasks.data.images.decode import read_image
from lightning_tasks.data.loading.dataset import sample_seed
from lightning_tasks.data.tables.formats.annotations import Annotations
from lightning_tasks.data.tables.splits import Rows
from lightning_tasks.data.tables.table_checks import Problem
from lightning_tasks.data.transforms.compose import augment_image
from lightning_tasks.data.transforms.tensor_resize import Preprocess
from lightning_tasks.reports.grid import to_arrays
from lightning_tasks.tasks.config_draft import ConfigDraft, OwnTable
from lightning_tasks.tasks.multilabel.classifier import MultiLabelClassifier
from lightning_tasks.tasks.multilabel.datamodule import MultiLabelDataModule
from lightning_tasks.tasks.multilabel.draft import draft_any_number
from lightning_tasks.tasks.multilabel.draw import draw_batch, draw_results
from lightning_tasks.tasks.multilabel.grad_cam import GradCam
from lightning_tasks.tasks.multilabel.label_errors import require_cleanlab
from lightning_tasks.tasks.multilabel.output import LabelFormat, LabelModule
from lightning_tasks.tasks.multilabel.predictions import LabelPredictions, label_predictions, predict_labels
from lightning_tasks.tasks.multilabel.table_draft import draft_labels, has_labels
from lightning_tasks.tasks.multilabel.threshold_curve import ThresholdCurve
from lightning_tasks.tasks.multilabel.thresholds import choose_thresholds
from lightning_tasks.tasks.sample_steps import NAMES_LISTED, array_line, step
from lightning_tasks.tasks.split_predictions import Split
from lightning_tasks.tasks.table_draft import Instances, TableDraft
from lightning_tasks.tasks.task import Task, ThresholdChoice


class MultiLabel(Task):
    """Which labels does an image carry? Any number of them."""

    name = "multilabel"
    names_key = "vocab"
    datamodule = MultiLabelDataModule
    model: ClassVar[type[MultiLabelClassifier]] = MultiLabelClassifier
    predictions: ClassVar[type[LabelPredictions]] = LabelPredictions
    val_xtra = 0.14
    targets = "labels"
    header = "fname,labels"
    table_name = "labels.csv"

    def recognises(self, header: Sequence[str]) -> bool:
        """Return whether there is a column of labels."""
        return "labels" in header

    def is_meant(self, annotations: Annotations) -> bool:
        """Return whether there are labels, and not those of points' objects alone."""
        return has_labels(annotations)

    def draft_table(self, annotations: Annotations, instances: Instances) -> TableDraft:
        """Return the table of labels."""
        return draft_labels(annotations)

    def draft_config(self, table: OwnTable) -> ConfigDraft | None:
        """Return what a config says of data and training."""
        return draft_any_number(table)

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
        vocab, dataset = datamodule.vocab, datamodule.train_set
        path, seed = str(dataset.paths[row]), sample_seed(dataset.seed, 0, row)
        image, target = dataset.images[row].image, dataset.targets[row]
        with step("transform", path):
            augmented = augment_image(dataset.transform, image, seed)
        names = [name for name, on in zip(vocab, target, strict=True) if on == 1]
        return [
            *_count_labels(vocab, dataset.targets, datamodule.valid_set.targets),
            "",
            f"one sample: {path}",
            array_line("decode", image),
            array_line("transform", augmented),
            f"{array_line('target', target)}: {', '.join(names) or 'no label'}",
        ]

    def draw_batch(self, batch: TargetBatch, datamodule: MultiLabelDataModule, originals: bool = False) -> Figure:
        """Draw images with their labels above."""
        paths = [datamodule.train_set.paths[row] for row in batch.rows] if originals else []
        return draw_batch(batch, datamodule.vocab, [read_image(p, white_level=datamodule.white_level) for p in paths])

    def callbacks(self, model: MultiLabelClassifier) -> list[Callback]:
        """Return what draws the accuracy at each threshold, where there are any."""
        return [] if model.thresholds is None else [ThresholdCurve()]

    def draw_results(self, batch: TargetBatch, outputs: Tensor, model: MultiLabelClassifier) -> Figure:
        """Draw images with their labels above and the predicted ones below."""
        return draw_results(to_arrays(batch.images), batch.targets, outputs, model.vocab, model.predicted(outputs))

    def predict_split(
        self, model: MultiLabelClassifier, datamodule: MultiLabelDataModule, split: Split = "valid"
    ) -> LabelPredictions:
        """Return the labels' probabilities."""
        return predict_labels(model, datamodule, split)

    def split_predictions(
        self,
        model: MultiLabelClassifier,
        datamodule: MultiLabelDataModule,
        split: Split,
        outputs: Tensor,
        batch: TargetBatch,
    ) -> LabelPredictions:
        """Return the labels' probabilities, which `outputs` are."""
        return label_predictions(model, datamodule, split, self.predictions, outputs, batch.targets, batch.rows)

    def inference_module(self, model: MultiLabelClassifier, preprocess: Preprocess) -> LabelModule:
        """Return a trained classifier as programs run it."""
        return LabelModule(model, preprocess)

    def output_format(self, model: MultiLabelClassifier, data_settings: Mapping[str, Any]) -> LabelFormat:
        """Return what its outputs mean."""
        thresholds = None if model.thresholds is None else model.thresholds.cpu().numpy()
        return LabelFormat(tuple(model.vocab), thresholds, model.temperature)

    def grad_cam(self, model: MultiLabelClassifier, label: str) -> GradCam:
        """Return where in images a label comes from."""
        return GradCam(model, label)

    def require_suspects(self) -> None:
        """Raise MissingLibraryError where cleanlab is not installed."""
        require_cleanlab()

    def choose_thresholds(
        self,
        model: MultiLabelClassifier,
        predict: Callable[[], LabelPredictions],
        *settings: Any,  # noqa: ANN401 - of the interface
        **named: Any,  # noqa: ANN401 - likewise
    ) -> ThresholdChoice:
        """Return from which probability on a label is predicted, where that is what predicts it."""
        if model.thresholds is None:
            return super().choose_thresholds(model, predict)
        return choose_thresholds(predict(), model.temperature, *settings, **named)


def _count_labels(vocab: Sequence[str], train: NDArray[np.float32], valid: NDArray[np.float32]) -> list[str]:
    """Return a table of how many images of each split, of targets (N, C), have each label."""
    width = max(map(len, vocab))
    rows = list(zip(vocab, (train == 1).sum(0), (valid == 1).sum(0), strict=True))
    more = [f"... and {len(rows) - NAMES_LISTED} more"] if len(rows) > NAMES_LISTED else []
    none = [(targets != 1).all(1).sum() for targets in (train, valid)]
    return [
        f"{'label':<{width}}  training  validation",
        *(f"{name:<{width}}  {a:>8,}  {b:>10,}" for name, a, b in rows[:NAMES_LISTED]),
        *more,
        f"{'no label':<{width}}  {none[0]:>8,}  {none[1]:>10,}",
    ]
