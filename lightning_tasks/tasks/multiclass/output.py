"""What a classifier predicts where an image has exactly one label: the likeliest, in place of thresholds."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from lightning_tasks.tasks.multilabel.output import LabelFormat


@dataclass(frozen=True)
class ClassFormat(LabelFormat):
    """Probabilities of labels of which each image has exactly one."""

    def choose(self, probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return the likeliest label of each image, (B, C), for probabilities (B, C)."""
        return np.asarray(probabilities >= probabilities.max(1, keepdims=True))

    def with_threshold(self, threshold: float) -> Self:
        """Return the format as it is, once the threshold is looked at: the likeliest label has none."""
        super().with_threshold(threshold)
        return self
