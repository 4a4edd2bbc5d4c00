"""Labels and their probabilities for a whole split, beside the true ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure
from torch import Tensor

from lightning_tasks.batch import IGNORED
from lightning_tasks.csv_text import apart, renamed, separator_for, write_csv
from lightning_tasks.reports.gallery import ReadReduced
from lightning_tasks.reports.run_info import RunInfo
from lightning_tasks.tasks.multilabel.classifier import MultiLabelClassifier
from lightning_tasks.tasks.multilabel.datamodule import MultiLabelDataModule
from lightning_tasks.tasks.multilabel.draw import draw_results
from lightning_tasks.tasks.multilabel.label_cells import AUTO, BLANK, WHOLE
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

LABEL_COLUMNS = ("fname", "labels", "predicted", "ignored")  # then the labels


@dataclass(frozen=True, kw_only=True)
class LabelPredictions(SplitPredictions):
    """N images with any number of C labels each; see `SplitPredictions`.

    Attributes:
        vocab: C labels.
        probabilities: (N, C) float32.
        targets: (N, C) float32, 1 where the image has the label; −1: the cell does not count.
        predicted: (N, C) bool, which labels are predicted.
        logits: (N, C) float32, before the temperature.
        thresholds: (C,), above which a label is predicted; None: the likeliest is, of exactly one an image.
        separator: stands between labels in a cell.
    """

    vocab: list[str]
    probabilities: Tensor
    targets: Tensor
    predicted: Tensor
    logits: Tensor
    thresholds: Tensor | None
    separator: str = BLANK

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
        separator = separator_for(self.vocab, self.separator)

        def names(chosen: Tensor) -> str:
            return separator.join(label for label, on in zip(self.vocab, chosen, strict=True) if on)

        table = [[*LABEL_COLUMNS, *apart(self.vocab, LABEL_COLUMNS)]]
        rows = zip(self.paths, self.targets, self.predicted, self.probabilities, strict=True)
        for fname, target, predicted, probabilities in rows:
            labels = (names(target == 1), names(predicted), names(target == IGNORED))
            table.append([str(fname), *labels, *(f"{p:.6f}" for p in probabilities.tolist())])
        write_csv(path, table, excel=excel)
        return renamed(self.vocab, LABEL_COLUMNS)

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
    loader = loader_of(datamodule, split)
    logits, targets, rows = predict_batches(
        model, loader, lambda batch: (model.uncalibrated(batch.images), batch.targets, batch.rows)
    )
    probabilities = model.decode(model.calibrate(logits))
    require_finite(probabilities)
    between = datamodule.label_separator
    return kind(
        **files_of(datamodule, split, rows),
        vocab=model.vocab,
        probabilities=probabilities,
        targets=targets,
        predicted=model.predicted(probabilities),
        logits=logits,
        thresholds=None if model.thresholds is None else model.thresholds.cpu(),
        separator=BLANK if between in (AUTO, WHOLE) else between,
    )
