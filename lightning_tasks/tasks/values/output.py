"""What a regressor of numbers says of images, and how it is handed on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_tasks.data.images.decode import Size
from lightning_tasks.data.loading.dataset import ImageDataset
from lightning_tasks.data.transforms.tensor_resize import Preprocess
from lightning_tasks.models.heads import sigmoid_range
from lightning_tasks.reports.canvas import Canvas, one_line
from lightning_tasks.tasks.prediction import (
    Annotation,
    AnnotationNames,
    Answer,
    Columns,
    InferenceModule,
    NamedNumber,
    OutputFormat,
    Prediction,
    as_in_tables,
    shortest,
)
from lightning_tasks.tasks.values.heads import ValueHead
from lightning_tasks.tasks.values.regressor import ValueRegressor


class ValueModule(InferenceModule):
    """Numbers (B, T) in the targets' units for (B, H, W, 3) uint8 RGB."""

    head: ValueHead
    mean: Tensor  # (T,) float32, also where the head is in float16, which has no room for large numbers
    std: Tensor  # (T,) float32

    def __init__(self, model: ValueRegressor, preprocess: Preprocess) -> None:
        super().__init__(model, preprocess)
        self.register_buffer("mean", model.head.mean.clone())
        self.register_buffer("std", model.head.std.clone())

    def predict(self, inputs: Tensor) -> Tensor:
        """Return numbers (B, T) for what `preprocess` returns."""
        outputs: Tensor = self.head.layers(self.backbone(inputs)).float()
        if self.head.y_range is not None:
            return sigmoid_range(outputs, *self.head.y_range)
        return outputs * self.std + self.mean


@dataclass(frozen=True)
class ValuePrediction(Prediction):
    """The numbers that the model predicts for an image."""

    targets: tuple[str, ...]  # names of T numbers
    values: NDArray[np.float32]  # (T,) in the targets' units

    def cells(self) -> tuple[list[str], NDArray[np.float32]]:
        """Return the numbers."""
        return [], self.values

    def as_json(self) -> dict[str, Any]:
        """Return the numbers by their targets."""
        return {"values": {name: round(float(v), 6) for name, v in zip(self.targets, self.values, strict=True)}}

    def annotation(self) -> Annotation:
        """Return the numbers by their targets."""
        pairs = zip(self.targets, self.values, strict=True)
        return Annotation(numbers=tuple(NamedNumber(name, as_in_tables(value)) for name, value in pairs))

    def draw(self, canvas: Canvas) -> None:
        """Write a line for each number."""
        canvas.write_lines([f"{one_line(name)} {v:.4g}" for name, v in zip(self.targets, self.values, strict=True)])


@dataclass
class ValueAnswer:
    """One number of the image, in its target's unit."""

    name: str
    value: float


@dataclass
class ValuesAnswer(Answer):
    """All numbers that the model predicts."""

    values: list[ValueAnswer]


@dataclass(frozen=True)
class ValueFormat(OutputFormat[ValuePrediction]):
    """Numbers in the targets' units, with the standard deviations of the training split."""

    noun: ClassVar[str] = "number"
    output_name: ClassVar[str] = "values"
    unit_scale: ClassVar[str] = "numbers in standard deviations"
    score_name: ClassVar[str] = "mean absolute error in standard deviations"
    description: ClassVar[str] = "predicts {} of an image"
    schema: ClassVar[type[Answer]] = ValuesAnswer

    names: tuple[str, ...]  # T targets
    std: NDArray[np.float32]  # (T,)

    def decode(self, outputs: Tensor, sizes: Sequence[Size]) -> list[ValuePrediction]:
        """Return the numbers (B, T) of each image."""
        return [ValuePrediction(self.names, values) for values in outputs.numpy()]

    def uncertainty(self, views: Sequence[Tensor]) -> Tensor:
        """Return how far views of images (B,) are apart, in standard deviations of the training split."""
        std = torch.from_numpy(self.std)
        return super().uncertainty([view / std for view in views])

    def columns(self) -> Columns:
        """Return a column for each target."""
        return Columns((), self.names)

    def metadata(self) -> dict[str, Any]:
        """Return the targets' names."""
        return {
            "task": "values",
            "output": "values: (B, T) float32, in the targets' units",
            "targets": list(self.names),
        }

    def as_json(self) -> dict[str, Any]:
        """Return the targets' names."""
        return {"values": list(self.names)}

    def answer(self, prediction: ValuePrediction) -> dict[str, Any]:
        """Return each target's name and number."""
        pairs = zip(self.names, prediction.values, strict=True)
        return {"values": [ValueAnswer(name, shortest(value)) for name, value in pairs]}

    def annotation_names(self) -> AnnotationNames:
        """Return the targets' names."""
        return AnnotationNames(numbers=self.names)

    def score(self, outputs: NDArray[np.float32], dataset: ImageDataset[Any], rows: Sequence[int]) -> float:
        """Return the mean absolute error of numbers (n, T), in standard deviations."""
        errors = np.abs(outputs - dataset.targets[rows]) / self.std  # type: ignore[attr-defined]  # its own data sets
        return float("nan") if np.isnan(errors).all() else float(np.nanmean(errors))

    def to_unit_scale(self, differences: NDArray[np.float32], size: Size) -> NDArray[np.float32]:
        """Return differences (B, T) in standard deviations."""
        return np.asarray(differences / self.std)
