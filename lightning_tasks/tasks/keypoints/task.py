"""The task `keypoints`, put together."""

from collections.abc import Mapping
from typing import Any

from lightning_tasks.data.transforms.tensor_resize import Preprocess
from lightning_tasks.tasks.keypoints.datamodule import KeypointDataModule
from lightning_tasks.tasks.keypoints.output import PointFormat, PointModule, point_format
from lightning_tasks.tasks.keypoints.regressor import KeypointRegressor
from lightning_tasks.tasks.task import Task


class Keypoints(Task):
    """Where are the points of an image?"""

    name = "keypoints"
    names_key = "point_names"
    datamodule = KeypointDataModule
    model = KeypointRegressor

    def inference_module(self, model: KeypointRegressor, preprocess: Preprocess) -> PointModule:
        """Return a trained regressor as programs run it."""
        return PointModule(model, preprocess)

    def output_format(self, model: KeypointRegressor, data_settings: Mapping[str, Any]) -> PointFormat:
        """Return what its outputs mean."""
        return point_format(model, data_settings)
