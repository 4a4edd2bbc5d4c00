"""The task `keypoints`, put together."""

from lightning_tasks.tasks.keypoints.datamodule import KeypointDataModule
from lightning_tasks.tasks.keypoints.regressor import KeypointRegressor
from lightning_tasks.tasks.task import Task


class Keypoints(Task):
    """Where are the points of an image?"""

    name = "keypoints"
    names_key = "point_names"
    datamodule = KeypointDataModule
    model = KeypointRegressor
