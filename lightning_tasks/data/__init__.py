"""From files to batches. Knows nothing of models."""

from lightning_tasks.data import opencv as opencv  # first: it sets the stage for every import of albumentations
from lightning_tasks.data.biwi_module import BiwiDataModule, BiwiSampleDataModule
from lightning_tasks.data.keypoint_module import KeypointDataModule
from lightning_tasks.data.multilabel_module import MultiLabelDataModule
from lightning_tasks.data.pascal_module import PascalDataModule, PascalSampleDataModule

__all__ = [
    "BiwiDataModule",
    "BiwiSampleDataModule",
    "KeypointDataModule",
    "MultiLabelDataModule",
    "PascalDataModule",
    "PascalSampleDataModule",
]
