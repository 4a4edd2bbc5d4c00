"""Labels and their probabilities for a whole split, beside the true ones."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.utils.data import DataLoader

from lightning_tasks.csv_text import describe_renames, distinct_columns, separator_for, write_csv
from lightning_tasks.reports.gallery import ReadReduced
from lightning_tasks.reports.run_info import RunInfo
from lightning_tasks.tasks.multilabel.batch import IGNORED
from lightning_tasks.tasks.multilabel.classifier import MultiLabelClassifier
from lightning_tasks.tasks.multilabel.datamodule import MultiLabelDataModule
from lightning_tasks.tasks.multilabel.draw import draw_results
from lightning_tasks.tasks.multilabel.label_cells import AUTO, BLANK, WHOLE
from lightning_tasks.tasks.multilabel.output import label_columns
from lightning_tasks.tasks.multilabel.page import label_page
from lightning_tasks.tasks.multilabel.scores import LabelScores, label_losses, label_scores
from lightning_tasks.tasks.split_predictions import (
    Split,
    SplitPredictions,
    files_of,
    loader_of,
    predict_batches,
    require_finite,
)


@dataclass(frozen=True, kw_only=True)
class LabelPredictions(SplitPredictions):
    """N images with any number of C labels each; see `SplitPredictions`.

    Attributes:
        vocab: C labels.
        probabilities: (N, C) float32.
        targets: (N, C) float32, 1 where the image has the label; −1: the cell does not count.
        predicted: (N, C) bool, which labels are predicted.
        logits: (N, C) float32, before the temperature.
        separator: stands between labels in a cell.
        thresholds: (C,), above which a label is predicted; none where that is not what predicts it.
    """

    vocab: list[str]
    probabilities: Tensor
    targets: Tensor
    predicted: Tensor
    logits: Tensor
    separator: str = BLANK
    thresholds: Tensor = field(default_factory=lambda: torch.empty(0))

    def losses(self) -> Tensor:
        """Return each image's mean cross-entropy (N,) over the cells that count; see `label_losses`."""
        return label_losses(self.probabilities, self.targets)

    def scores(self) -> LabelScores:
        """Return all scores."""
        return label_scores(self.probabilities, self.targets, self.vocab, self.predicted)

    def score(self) -> float:
        """Return the mAP."""
        return self.scores().mAP

    def draw(self, rows: Tensor, losses: Sequence[float] = ()) -> Figure:
        """Draw images with their labels above and the predicted ones below."""
        targets, probabilities, predicted = self.targets[rows], self.probabilities[rows], self.predicted[rows]
        return draw_results(self.images(rows), targets, probabilities, self.vocab, predicted, losses)

    def write_csv(self, path: Path, *, excel: bool = False) -> list[str]:
        """Write file, true labels, predicted labels, those that do not count, and each label's probability.

        A label that is called like another column gets another name, of which a sentence is returned.
        """
        texts, numbers = label_columns(self.vocab)
        first = ["fname", "labels", *texts, "ignored"]
        separator = separator_for(self.vocab, self.separator)

        def names(chosen: Tensor) -> str:
            return separator.join(label for label, on in zip(self.vocab, chosen, strict=True) if on)

        table = [[*first, *distinct_columns(numbers, first)]]
        rows = zip(self.paths, self.targets, self.predicted, self.probabilities, strict=True)
        for fname, target, predicted, probabilities in rows:
            labels = (names(target == 1), names(predicted), names(target == IGNORED))
            table.append([str(fname), *labels, *(f"{p:.6f}" for p in probabilities.tolist())])
        write_csv(path, table, excel=excel)
        return describe_renames(numbers, first)

    def report(self, run: RunInfo, split: str, read: ReadReduced) -> str:
        """Return an html page."""
        return label_page(self, run, split, read)


def predict_labels(
    model: MultiLabelClassifier,
    datamodule: MultiLabelDataModule,
    split: Split = "valid",
    kind: type[LabelPredictions] = LabelPredictions,
) -> LabelPredictions:
    """Return the probabilities of a split's images, as predictions of some kind; see `predict_batches`.

    Raises:
        LightningTasksError: files cannot be read, or the predictions are not finite.
    """
    assert model.thresholds is not None  # else it is a MultiClassClassifier
    values = predict_values(model, loader_of(datamodule, split), datamodule, split)
    return LabelPredictions(**values, thresholds=model.thresholds.cpu())


def predict_values(
    model: MultiLabelClassifier, loader: DataLoader[Any], datamodule: MultiLabelDataModule, split: Split
) -> dict[str, Any]:
    """Return the arguments of `LabelPredictions` that do not depend on how many labels an image may have."""
    logits, targets, rows = predict_batches(
        model, loader, lambda batch: (model.uncalibrated(batch.images), batch.targets, batch.rows)
    )
    probabilities = model.decode(model.calibrate(logits))
    require_finite(probabilities)
    between = datamodule.label_separator
    return {
        **files_of(datamodule, split, rows),
        "vocab": model.vocab,
        "probabilities": probabilities,
        "targets": targets,
        "predicted": model.predicted(probabilities),
        "logits": logits,
        "separator": BLANK if between in (AUTO, WHOLE) else between,
    }
