"""What the server answers, as it stands in its OpenAPI description."""

import numpy as np
from pydantic import BaseModel, Field

from lightning_tasks.data.images.decode import Size
from lightning_tasks.deploy.predictor import LabelPrediction, Labels, Points, Prediction


class LabelAnswer(BaseModel):
    """One label of an image."""

    label: str
    probability: float
    threshold: float | None = Field(description="Above it the label is chosen; null: the likeliest label is.")
    chosen: bool


class LabelsAnswer(BaseModel):
    """All labels that the model knows, the likeliest first."""

    labels: list[LabelAnswer]
    width_px: int = Field(description="Of the image, turned as its EXIF orientation says.")
    height_px: int


class PointAnswer(BaseModel):
    """Where a point is in the image; the centre of its top-left pixel is (0, 0)."""

    name: str
    x_px: float
    y_px: float


class PointsAnswer(BaseModel):
    """All points that the model knows."""

    points: list[PointAnswer]
    width_px: int = Field(description="Of the image, turned as its EXIF orientation says.")
    height_px: int


class LabelOfModel(BaseModel):
    """A label that the model knows."""

    label: str
    threshold: float | None


class ModelAnswer(BaseModel):
    """What the model knows, and how this server runs it."""

    name: str = Field(description="The checkpoint's file name.")
    labels: list[LabelOfModel] | None = Field(description="null: the model finds points.")
    points: list[str] | None = Field(description="null: the model says labels.")
    seen_height_px: int = Field(description="Of what the network sees of an image.")
    seen_width_px: int
    max_mb: float
    max_megapixels: float
    versions: dict[str, str]


class HealthAnswer(BaseModel):
    """That the server answers, and how busy it is."""

    status: str
    running: int
    waiting: int


class Problem(BaseModel):
    """Why there is no answer: one sentence, and what to do."""

    detail: str


def answer(prediction: Prediction, names: Labels | Points, size: Size) -> LabelsAnswer | PointsAnswer:
    """Return the answer for an image of `size` (height, width)."""
    height, width = size
    if isinstance(prediction, LabelPrediction):
        assert isinstance(names, Labels)
        labels = [
            LabelAnswer(
                label=prediction.vocab[i],
                probability=shortest(prediction.probabilities[i]),
                threshold=None if names.thresholds is None else shortest(names.thresholds[i]),
                chosen=bool(prediction.chosen[i]),
            )
            for i in np.argsort(-prediction.probabilities, kind="stable")
        ]
        return LabelsAnswer(labels=labels, width_px=width, height_px=height)
    points = [
        PointAnswer(name=name, x_px=shortest(x), y_px=shortest(y))
        for name, (x, y) in zip(prediction.point_names, prediction.points_px, strict=True)
    ]
    return PointsAnswer(points=points, width_px=width, height_px=height)


def shortest(number: np.float32) -> float:
    """Return the number with the fewest digits that is this one in float32: 0.2, not 0.20000000298023224."""
    return float(str(number))
