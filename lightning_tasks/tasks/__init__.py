"""From a batch to loss and predictions. Knows nothing of files."""

from lightning_tasks.tasks.keypoint import KeypointRegressor
from lightning_tasks.tasks.multilabel import MultiLabelClassifier

__all__ = ["KeypointRegressor", "MultiLabelClassifier"]
