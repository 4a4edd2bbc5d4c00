"""What a classifier of labels says of images, and how it is handed on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_tasks.csv_text import separator_for
from lightning_tasks.data.images.decode import Size
from lightning_tasks.data.loading.dataset import ImageDataset
from lightning_tasks.data.transforms.tensor_resize import Preprocess
from lightning_tasks.errors import ConfigError
from lightning_tasks.reports.canvas import Canvas, one_line
from lightning_tasks.tasks.multilabel.classifier import MultiLabelClassifier
from lightning_tasks.tasks.multilabel.scores import average_precision
from lightning_tasks.tasks.prediction import (
    Annotation,
    AnnotationNames,
    Answer,
    Columns,
    InferenceModule,
    OutputFormat,
    Prediction,
    ScoredLabel,
    as_in_tables,
    shortest,
)


class LabelModule(InferenceModule):
    """Probabilities (B, C) for (B, H, W, 3) uint8 RGB."""

    def __init__(self, model: MultiLabelClassifier, preprocess: Preprocess) -> None:
        super().__init__(model, preprocess)
        self.temperature = model.temperature
        self.activation = model.activation

    def predict(self, inputs: Tensor) -> Tensor:
        """Return probabilities (B, C) for what `preprocess` returns."""
        return self.activation(self.head(self.backbone(inputs)).float() / self.temperature)


@dataclass(frozen=True)
class LabelPrediction(Prediction):
    """What the model says of an image's labels."""

    vocab: tuple[str, ...]  # C labels
    probabilities: NDArray[np.float32]  # (C,)
    chosen: NDArray[np.bool_]  # (C,), above the thresholds; or the likeliest one

    @property
    def labels(self) -> tuple[str, ...]:
        """The chosen labels, the likeliest first."""
        return tuple(self.vocab[i] for i in self.likeliest_first() if self.chosen[i])

    def likeliest_first(self) -> NDArray[np.intp]:
        """Return the order (C,) of the labels by their probabilities."""
        return np.argsort(-self.probabilities, kind="stable")

    def cells(self) -> tuple[list[str], NDArray[np.float32]]:
        """Return the chosen labels in one cell, and all probabilities."""
        return [separator_for(self.vocab).join(self.labels)], self.probabilities

    def as_json(self) -> dict[str, Any]:
        """Return the chosen labels, and all probabilities by label."""
        rounded = (round(float(probability), 6) for probability in self.probabilities)
        return {"predicted": list(self.labels), "probabilities": dict(zip(self.vocab, rounded, strict=True))}

    def annotation(self) -> Annotation:
        """Return the chosen labels with their probabilities."""
        chosen = [i for i in self.likeliest_first() if self.chosen[i]]
        return Annotation(tuple(ScoredLabel(self.vocab[i], as_in_tables(self.probabilities[i])) for i in chosen))

    def draw(self, canvas: Canvas) -> None:
        """Write the chosen labels with their probabilities."""
        chosen = [i for i in self.likeliest_first() if self.chosen[i]]
        lines = [f"{one_line(self.vocab[i])} {self.probabilities[i]:.2f}" for i in chosen]
        canvas.write_lines(lines or ["nothing found"])


@dataclass
class LabelAnswer:
    """One label of an image."""

    label: str
    probability: float
    threshold: float | None = field(metadata={"description": "Above it the label is chosen; null: the likeliest is."})
    chosen: bool


@dataclass
class LabelsAnswer(Answer):
    """All labels that the model knows, the likeliest first."""

    predicted: list[LabelAnswer]


@dataclass(frozen=True)
class LabelFormat(OutputFormat[LabelPrediction]):
    """Probabilities, and what turns them into labels."""

    noun: ClassVar[str] = "label"
    output_name: ClassVar[str] = "probabilities"
    unit_scale: ClassVar[str] = "probabilities"
    score_name: ClassVar[str] = "mAP"
    description: ClassVar[str] = "says which of {} an image has"
    schema: ClassVar[type[Answer]] = LabelsAnswer
    views_tell_uncertainty: ClassVar[bool] = False

    names: tuple[str, ...]  # C labels
    thresholds: NDArray[np.float32] | None  # (C,); None: exactly one label, the likeliest
    temperature: float = 1.0

    def decode(self, outputs: Tensor, sizes: Sequence[Size]) -> list[LabelPrediction]:
        """Return the labels of images for probabilities (B, C)."""
        probabilities = outputs.numpy()
        likeliest = probabilities >= probabilities.max(1, keepdims=True)
        chosen = likeliest if self.thresholds is None else probabilities > self.thresholds
        return [LabelPrediction(self.names, *pair) for pair in zip(probabilities, chosen, strict=True)]

    def merged(self, others: Sequence[OutputFormat[Any]]) -> Self:
        """Return the format of the mean of probabilities, with the mean of the thresholds; see `OutputFormat`."""
        super().merged(others)
        each = [form.thresholds for form in (self, *others) if isinstance(form, LabelFormat)]
        limits = [thresholds for thresholds in each if thresholds is not None]
        if not limits:
            return self
        if len(limits) < len(each):
            raise ConfigError("One checkpoint chooses one label an image, another any number: they have no mean.")
        same = all(np.array_equal(thresholds, limits[0]) for thresholds in limits)
        return self if same else replace(self, thresholds=np.mean(limits, axis=0, dtype=np.float32))

    def uncertainty(self, views: Sequence[Tensor]) -> Tensor:
        """Return the entropy of probabilities (B, C), from 0 to 1: of any number of labels the mean over all of them.

        That of one label each is the distribution's, as a share of the highest that C labels can have.
        """
        probabilities = self.combine(views).double()
        entropies: Tensor = torch.special.entr(probabilities)
        if self.thresholds is None:
            return entropies.sum(1) / math.log(max(2, len(self.names)))
        entropies = entropies + torch.special.entr(1 - probabilities)
        return entropies.mean(1) / math.log(2)

    def with_threshold(self, threshold: float) -> Self:
        """Return the format with one threshold for all labels; where the likeliest is chosen, it is only checked."""
        if not 0 <= threshold <= 1:
            raise ConfigError(f"The threshold is {threshold}; it is a probability, from 0 to 1.")
        limits = None if self.thresholds is None else np.full(len(self.names), threshold, np.float32)
        return replace(self, thresholds=limits)

    def columns(self) -> Columns:
        """Return a column for the chosen labels, and one for each label's probability."""
        return label_columns(self.names)

    def metadata(self) -> dict[str, Any]:
        """Return labels, thresholds and temperature."""
        return {
            "task": "labels",
            "output": "probabilities: (B, C) float32",
            "vocab": list(self.names),
            "temperature": self.temperature,
            # A label is chosen where its probability is greater; null: exactly one, the likeliest.
            "thresholds": None if self.thresholds is None else self.thresholds.tolist(),
        }

    def as_json(self) -> dict[str, Any]:
        """Return the labels with their thresholds; `points` is null for clients that tell the tasks apart by it."""
        pairs = zip(self.names, self._limits(), strict=True)
        return {"labels": [{"label": label, "threshold": limit} for label, limit in pairs], "points": None}

    def answer(self, prediction: LabelPrediction) -> dict[str, Any]:
        """Return each label with its probability, its threshold and whether it is chosen."""
        limits = self._limits()
        rows = [
            LabelAnswer(self.names[i], shortest(prediction.probabilities[i]), limits[i], bool(prediction.chosen[i]))
            for i in prediction.likeliest_first()
        ]
        return {"predicted": rows}

    def annotation_names(self) -> AnnotationNames:
        """Return the labels, and whether exactly one is chosen."""
        return AnnotationNames(labels=self.names, one_label=self.thresholds is None)

    def score(self, outputs: NDArray[np.float32], dataset: ImageDataset[Any], rows: Sequence[int]) -> float:
        """Return the mAP of probabilities (n, C)."""
        targets = torch.as_tensor(dataset.targets[rows])  # type: ignore[attr-defined]  # of labels, as these are
        each = average_precision(torch.from_numpy(outputs), targets)
        return float(each[(targets == 1).any(0)].mean())

    def _limits(self) -> list[float | None]:
        return [None] * len(self.names) if self.thresholds is None else [shortest(limit) for limit in self.thresholds]


def label_columns(vocab: Sequence[str]) -> Columns:
    """Return the columns of what is predicted, in every table: the chosen labels, and each label's probability."""
    return Columns(("predicted",), tuple(vocab))
