"""What some tasks offer besides: the parts of images that speak for an output, and thresholds that can be chosen."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

from matplotlib.figure import Figure

from lightning_tasks.data.loading.dataset import ImageDataset
from lightning_tasks.reports.selection import Results
from lightning_tasks.tasks.split_predictions import SplitPredictions

ThresholdAim = Literal["accuracy", "f1", "precision_at_recall"]


class Explanation(ABC):
    """Where in images one of a model's outputs comes from."""

    @abstractmethod
    def draw(self, found: SplitPredictions, dataset: ImageDataset[Any], n: int, worst: bool) -> Results:
        """Draw it on the images as the model sees them.

        Args:
            found: the model's predictions of `dataset`.
            dataset: the split.
            n: how many images at most.
            worst: those where this output's loss is highest; else those where it is surest.
        """


@dataclass(frozen=True)
class ThresholdChoice:
    """What a checkpoint keeps of chosen thresholds, and what they bring, for a person."""

    hyper_parameters: dict[str, Any]
    table: str
    curve: Figure
