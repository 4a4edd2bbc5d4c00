"""Labels and their probabilities for a whole split, beside the true ones; and the report's page of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from lightning_tasks.csv_text import describe_renames, distinct_columns, separator_for, write_csv
from lightning_tasks.data.tables.label_cells import AUTO, BLANK, WHOLE
from lightning_tasks.reports.gallery import Gallery, ReadReduced, make_gallery
from lightning_tasks.reports.page import render_page
from lightning_tasks.reports.run_info import RunInfo
from lightning_tasks.tasks.multilabel.classifier import MultiLabelClassifier
from lightning_tasks.tasks.multilabel.confusion import confusions_of
from lightning_tasks.tasks.multilabel.datamodule import MultiLabelDataModule
from lightning_tasks.tasks.multilabel.draw import draw_results
from lightning_tasks.tasks.multilabel.label_errors import label_suspects
from lightning_tasks.tasks.multilabel.output import label_columns
from lightning_tasks.tasks.multilabel.resampled import ResampledCounts, resampled_precision
from lightning_tasks.tasks.multilabel.scores import IGNORED, LabelScores, label_losses, label_scores
from lightning_tasks.tasks.prediction import Annotation, ScoredLabel
from lightning_tasks.tasks.split_predictions import (
    Split,
    SplitPredictions,
    files_of,
    loader_of,
    predict_batches,
    require_finite,
)
from lightning_tasks.tasks.suspects import Suspect

_TEMPLATE = Path(__file__).with_name("page.html.j2")
# Of a label by whether it is in the image, and predicted: a true positive, a false negative, a false positive.
_KINDS = {(True, True): "TP", (True, False): "FN", (False, True): "FP"}
_STEPS = 100  # of the page's slider


@dataclass(frozen=True, kw_only=True)
class LabelPredictions(SplitPredictions):
    """N images with any number of C labels each; see `SplitPredictions`."""

    of_model: ClassVar[tuple[str, ...]] = ("thresholds",)
    card: ClassVar[str] = "multilabel/card.html.j2"
    exclusive: ClassVar[bool] = False  # each image has exactly one of the labels

    vocab: list[str]  # C labels
    probabilities: Tensor  # (N, C) float32
    targets: Tensor  # (N, C) float32, 1 where the image has the label; −1: the cell does not count
    predicted: Tensor  # (N, C) bool, which labels are predicted
    logits: Tensor  # (N, C) float32, before the temperature
    separator: str = BLANK  # stands between labels in a cell
    # (C,), above which a label is predicted; none where that is not what predicts it.
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

    def resampled(self, counts: Tensor) -> dict[str, Tensor]:
        """Return the scores of resamples, and the average precision of each label; see `SplitPredictions`.

        Neither the calibration error nor the mAP of 11 points is among them: resamples raise them far
        above those of the images, as means of absolute differences and of maxima, and an interval would mislead.
        """
        precision = resampled_precision(counts, self.probabilities, self.targets)
        return {
            "loss": self._resampled_loss(counts),
            "mAP": precision.nanmean(0),
            **ResampledCounts.of(counts, self.predicted, self.targets).scores(),
            "average_precision": precision,
        }

    def _resampled_loss(self, counts: Tensor) -> Tensor:
        """Return the mean cross-entropy (R,) over all cells that count."""
        cells = (self.targets != IGNORED).double().sum(1)
        total = torch.where(cells > 0, self.losses().double() * cells, 0.0)
        return (total @ counts.double()) / (cells @ counts.double())

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

    def suspects(self) -> list[Suspect]:
        """Return the cells that are probably wrong; see `label_suspects`."""
        return label_suspects(self.probabilities, self.targets, self.vocab)

    def corrected(self, row: int, suspects: Sequence[Suspect]) -> Annotation:
        """Return the annotated labels with their probabilities, without the extra ones, and with the missing."""
        kinds = {suspect.what: suspect.kind for suspect in suspects}
        columns = zip(self.vocab, self.targets[row].tolist(), self.probabilities[row].tolist(), strict=True)
        right = [
            ScoredLabel(label, round(probability, 6))
            for label, target, probability in columns
            if (kinds[label] == "missing" if label in kinds else target == 1)
        ]
        return Annotation(tuple(sorted(right, key=lambda label: -label.score)))

    def report(self, run: RunInfo, split: str, read: ReadReduced, ci: float | None = None) -> str:
        """Return an html page."""
        limits = self.thresholds.tolist()
        common = limits[0] if len(set(limits)) == 1 else None
        values = {
            "threshold": common,
            "thresholds": limits,
            "slider": 0.5 if common is None else round(common * _STEPS) / _STEPS,
            "counts": threshold_counts(self.probabilities, self.targets),
        }
        return render_page(_TEMPLATE, run, split, self.gallery(read), **self.scores_of_page(ci), **values)

    def scores_of_page(self, ci: float | None) -> dict[str, Any]:
        """Return what the page shows of any labels, with thresholds or without; `ci`: see `report`."""
        scores, intervals = self.scores(), None if ci is None else self.intervals(ci)
        by_precision = sorted(scores.classes, key=lambda label: -np.nan_to_num(label.average_precision))
        return {
            "scores": scores,
            "by_precision": by_precision,
            "vocab": self.vocab,
            "ci": intervals,
            "confusions": confusions_of(self.predicted, self.targets, self.vocab, self.exclusive),
        }

    def gallery(self, read: ReadReduced) -> Gallery:
        """Return the page's images with their labels, by which they can be filtered."""
        losses = self.losses()
        involved = (self.targets == 1) | (self.predicted & (self.targets == 0))
        return make_gallery(
            self.paths,
            self.groups,
            losses,
            read,
            self.card_details,
            filters={"Label": {f"label-{c}": name for c, name in enumerate(self.vocab)}},
            keys_of=lambda row: [f"label-{c}" for c in involved[row].nonzero().flatten().tolist()],
        )

    def card_details(self, row: int) -> dict[str, Any]:
        """Return an image's loss and labels."""
        return {"loss": float(self.take(torch.tensor([row])).losses()), "tags": self._tags(row)}

    def _tags(self, row: int) -> list[dict[str, Any]]:
        """Return the labels that an image has or is predicted to have, but for those that do not count."""
        columns = (self.probabilities[row].tolist(), self.targets[row].tolist(), self.predicted[row].tolist())
        tags = [
            {"kind": _KINDS[target == 1, found], "name": name, "probability": probability}
            for name, probability, target, found in zip(self.vocab, *columns, strict=True)
            if target != IGNORED and (target == 1, found) in _KINDS
        ]
        return sorted(tags, key=lambda tag: -float(tag["probability"]))


def threshold_counts(probabilities: Tensor, targets: Tensor) -> dict[str, list[int] | list[list[int]]]:
    """Return what accuracy, precision, recall and F1 follow from, for each label at the thresholds 0, .01, ..., 1.

    `hits` and `predicted` are C lists of 101 counts: labels found rightly, and labels found (where the probability is
    strictly greater). `positives` and `cells` are C counts. A cell of target −1 is in none of them.

    Args:
        probabilities: (N, C).
        targets: (N, C) of 1, 0 and −1.
    """
    counts, truth = targets != IGNORED, targets == 1
    masks = (probabilities > step / _STEPS for step in range(_STEPS + 1))  # lazily: (101, N, C) would be large
    found = [((above & truth).sum(0), (above & counts).sum(0)) for above in masks]
    hits, predicted = (torch.stack(column, 1).tolist() for column in zip(*found, strict=True))
    return {"hits": hits, "predicted": predicted, "positives": truth.sum(0).tolist(), "cells": counts.sum(0).tolist()}


def predict_labels(
    model: MultiLabelClassifier,
    datamodule: MultiLabelDataModule,
    split: Split = "valid",
    kind: type[LabelPredictions] = LabelPredictions,
    check: Callable[[MultiLabelDataModule], None] = lambda datamodule: None,
) -> LabelPredictions:
    """Return the probabilities of a split's images, as predictions of some kind; see `predict_batches`.

    `check` is asked of the tables that were read, before anything is predicted.

    Raises:
        LightningTasksError: files cannot be read, or the predictions are not finite.
    """
    loader = loader_of(datamodule, split)
    check(datamodule)
    logits, targets, rows = predict_batches(
        model, loader, lambda batch: (model.uncalibrated(batch.images), batch.targets, batch.rows)
    )
    return label_predictions(
        model, datamodule, split, kind, model.decode(model.calibrate(logits)), targets, rows, logits
    )


def label_predictions(
    model: MultiLabelClassifier,
    datamodule: MultiLabelDataModule,
    split: Split,
    kind: type[LabelPredictions],
    probabilities: Tensor,
    targets: Tensor,
    rows: Tensor,
    logits: Tensor | None = None,
) -> LabelPredictions:
    """Return the probabilities (N, C) of some rows (N,) of a split as predictions of some kind.

    `logits`, before the temperature; None: those of the probabilities. ConfigError: these are not finite.
    """
    require_finite(probabilities)
    between = datamodule.label_separator
    return kind(
        **files_of(datamodule, split, rows),
        vocab=model.vocab,
        probabilities=probabilities,
        targets=targets,
        predicted=model.predicted(probabilities),
        logits=model.encode(probabilities) * model.temperature if logits is None else logits,
        separator=BLANK if between in (AUTO, WHOLE) else between,
        thresholds=torch.empty(0) if model.thresholds is None else model.thresholds.cpu(),
    )
