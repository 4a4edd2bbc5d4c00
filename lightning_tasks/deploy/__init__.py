"""What one does with a checkpoint: predictions, exports, a server."""

from lightning_tasks.deploy.ensemble import load
from lightning_tasks.deploy.predictor import Predictor
from lightning_tasks.tasks import LabelPrediction, PointPrediction

__all__ = ["LabelPrediction", "PointPrediction", "Predictor", "load"]
