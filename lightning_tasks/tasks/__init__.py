"""One folder for each task: all that is its own."""

from lightning_tasks.data.images import opencv as opencv  # first: it sets the stage for every import of albumentations
from lightning_tasks.tasks.keypoints.biwi import BiwiDataModule, BiwiSampleDataModule
from lightning_tasks.tasks.keypoints.datamodule import KeypointDataModule
from lightning_tasks.tasks.keypoints.output import PointPrediction
from lightning_tasks.tasks.keypoints.regressor import KeypointRegressor
from lightning_tasks.tasks.multiclass.classifier import MultiClassClassifier
from lightning_tasks.tasks.multiclass.datamodule import MultiClassDataModule
from lightning_tasks.tasks.multilabel.classifier import MultiLabelClassifier
from lightning_tasks.tasks.multilabel.datamodule import MultiLabelDataModule
from lightning_tasks.tasks.multilabel.output import LabelPrediction
from lightning_tasks.tasks.multilabel.pascal import PascalDataModule, PascalSampleDataModule
from lightning_tasks.tasks.values.datamodule import ValueDataModule, ValueSampleDataModule
from lightning_tasks.tasks.values.output import ValuePrediction
from lightning_tasks.tasks.values.regressor import ValueRegressor

__all__ = [
    "BiwiDataModule",
    "BiwiSampleDataModule",
    "KeypointDataModule",
    "KeypointRegressor",
    "LabelPrediction",
    "MultiClassClassifier",
    "MultiClassDataModule",
    "MultiLabelClassifier",
    "MultiLabelDataModule",
    "PascalDataModule",
    "PascalSampleDataModule",
    "PointPrediction",
    "ValueDataModule",
    "ValuePrediction",
    "ValueRegressor",
    "ValueSampleDataModule",
]
