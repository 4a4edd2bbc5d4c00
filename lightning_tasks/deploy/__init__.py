"""What one does with a checkpoint: predictions, exports, a server."""

from lightning_tasks.deploy.load import load
from lightning_tasks.deploy.predictor import LabelPrediction, PointPrediction, Predictor

__all__ = ["LabelPrediction", "PointPrediction", "Predictor", "load"]
