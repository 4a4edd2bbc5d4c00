"""What a regressor of points says of images, and how it is handed on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_tasks.data.images.decode import Size
from lightning_tasks.data.loading.dataset import ImageDataset
from lightning_tasks.errors import ConfigError
from lightning_tasks.reports.canvas import DARK, WHITE, Canvas, one_line
from lightning_tasks.tasks.keypoints.heads import HeatmapHead, RegressionHead
from lightning_tasks.tasks.keypoints.regressor import unmirrored
from lightning_tasks.tasks.keypoints.scores import original_points_px
from lightning_tasks.tasks.keypoints.table import position_columns
from lightning_tasks.tasks.prediction import (
    Annotation,
    AnnotationNames,
    Answer,
    Columns,
    InferenceModule,
    NamedPoint,
    OutputFormat,
    Prediction,
    as_in_tables,
    shortest,
)

_GREEN = (26, 127, 55)
_FEW_POINTS = 10  # have their names beside them


class PointModule(InferenceModule):
    """Positions (B, P, 2) for (B, H, W, 3) uint8 RGB, in their pixels; the centre of the top-left one is (0, 0)."""

    head: RegressionHead | HeatmapHead

    def forward(self, images: Tensor) -> Tensor:
        """Return x and y (B, P, 2) for (B, H, W, 3) uint8 RGB."""
        # Lengths as tensors: see `preprocess`.
        height, width = (torch.ones(length, device=images.device).sum() for length in images.shape[1:3])
        points_norm = self.predict(self.preprocess(images))
        return original_points_px(points_norm, self.preprocess.window.size, torch.stack([width, height])[None])

    def predict(self, inputs: Tensor) -> Tensor:
        """Return points (B, P, 2) on the −1..1 scale for what `preprocess` returns."""
        return self.head.decode(self.head(self.backbone(inputs)), inputs.shape[2:])


@dataclass(frozen=True)
class PointPrediction(Prediction):
    """Where the model sees an image's points."""

    point_names: tuple[str, ...]  # P points
    points_px: NDArray[np.float32]  # (P, 2), x and y in the image's pixels; the centre of the top-left one is (0, 0)

    def cells(self) -> tuple[list[str], NDArray[np.float32]]:
        """Return each point's x and y."""
        return [], self.points_px.ravel()

    def as_json(self) -> dict[str, Any]:
        """Return x and y by the point's name."""
        pairs = [[round(float(number), 6) for number in point] for point in self.points_px]
        return {"points_px": dict(zip(self.point_names, pairs, strict=True))}

    def annotation(self) -> Annotation:
        """Return each point's place."""
        places = zip(self.point_names, self.points_px, strict=True)
        return Annotation(points=tuple(NamedPoint(name, *map(as_in_tables, place)) for name, place in places))

    def draw(self, canvas: Canvas) -> None:
        """Draw a dot at each point, with its name where they are few."""
        few = len(self.point_names) < _FEW_POINTS
        radius = max(2.0, canvas.text_px / (3 if few else 8))
        for name, (x, y) in zip(self.point_names, self.points_px.tolist(), strict=True):
            # Pillow counts from the corner of the top-left pixel, we from its centre.
            x, y = x + 0.5, y + 0.5
            box = (x - radius, y - radius, x + radius, y + radius)
            canvas.draw.ellipse(box, fill=_GREEN, outline=WHITE, width=2 if few else 1)
            if few:
                canvas.write(x + 1.5 * radius, y, one_line(name), fill=WHITE, stroke_width=2, stroke_fill=DARK)


@dataclass
class PointAnswer:
    """Where a point is in the image; the centre of its top-left pixel is (0, 0)."""

    name: str
    x_px: float
    y_px: float


@dataclass
class PointsAnswer(Answer):
    """All points that the model knows."""

    points: list[PointAnswer]


@dataclass(frozen=True)
class PointFormat(OutputFormat[PointPrediction]):
    """Points on the −1..1 scale of what the network sees, and which of them change places in a mirrored image."""

    noun: ClassVar[str] = "point"
    output_name: ClassVar[str] = "points"
    unit_scale: ClassVar[str] = "points on −1..1"
    score_name: ClassVar[str] = "median error in px"
    description: ClassVar[str] = "finds {} in an image"
    schema: ClassVar[type[Answer]] = PointsAnswer
    mirrored_is_a_view: ClassVar[bool] = True

    names: tuple[str, ...]  # P points
    mirrored: tuple[int, ...] | None  # P positions; None: not known
    image_size: Size  # height and width of what the network sees

    def decode(self, outputs: Tensor, sizes: Sequence[Size]) -> list[PointPrediction]:
        """Return where points (B, P, 2) on the −1..1 scale are in images of these sizes."""
        widths_and_heights = torch.tensor([size[::-1] for size in sizes], dtype=torch.float32)
        points_px = original_points_px(outputs, self.image_size, widths_and_heights)
        return [PointPrediction(self.names, points) for points in points_px.numpy()]

    def convert(self, outputs: Tensor, other: Self) -> Tensor:
        """Return points (B, P, 2) on the −1..1 scale of what another network sees on that of what this one sees."""
        # −1 is the first pixel's centre, half a pixel from the edge: pixels of another size have another half.
        (height, width), (other_height, other_width) = self.image_size, other.image_size
        return outputs + outputs.new_tensor([1 / other_width - 1 / width, 1 / other_height - 1 / height])

    def unmirror(self, outputs: Tensor, width_px: int) -> Tensor:
        """Return points (B, P, 2) of images for those of the mirrored images, both on the −1..1 scale."""
        return unmirrored(outputs, self.mirrored, width_px)

    def require_flip(self) -> None:
        """Raise ConfigError where it is not known which points change places."""
        if self.mirrored is None:
            raise ConfigError(
                "A mirrored image has left and right points in each other's place, and the checkpoint does not say "
                "which: it was trained without data.swap_pairs. Predict without flip."
            )

    def columns(self) -> Columns:
        """Return a column for each point's x and y."""
        return Columns((), tuple(position_columns(self.names)))

    def metadata(self) -> dict[str, Any]:
        """Return the points' names."""
        output = "points: (B, P, 2) float32, x and y in the image's pixels; the top-left one's centre is (0, 0)"
        return {"task": "keypoints", "output": output, "point_names": list(self.names)}

    def as_json(self) -> dict[str, Any]:
        """Return the points' names; `labels` is null for clients that tell the tasks apart by it."""
        return {"points": list(self.names), "labels": None}

    def answer(self, prediction: PointPrediction) -> dict[str, Any]:
        """Return each point's name, x and y."""
        places = zip(self.names, prediction.points_px, strict=True)
        return {"points": [PointAnswer(name, *map(shortest, place)) for name, place in places]}

    def annotation_names(self) -> AnnotationNames:
        """Return the points' names."""
        return AnnotationNames(points=self.names)

    def score(self, outputs: NDArray[np.float32], dataset: ImageDataset[Any], rows: Sequence[int]) -> float:
        """Return the median error of points (n, P, 2), in pixels."""
        errors_px = np.linalg.norm(outputs - dataset.points_px[rows], axis=-1)  # type: ignore[attr-defined]  # its own data sets
        return math.nan if np.isnan(errors_px).all() else float(np.nanmedian(errors_px))

    def to_unit_scale(self, differences: NDArray[np.float32], size: Size) -> NDArray[np.float32]:
        """Return differences (B, P, 2) in pixels on the −1..1 scale."""
        return np.asarray(differences * 2 / np.array(size[::-1], dtype=np.float32))
