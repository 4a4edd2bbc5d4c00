"""Multi-label classification and keypoint regression for images, on PyTorch Lightning."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightning_tasks.callbacks import FineTune, LastCheckpoint, LRFinder, OneCycle, StepSeed
    from lightning_tasks.deploy import LabelPrediction, PointPrediction, Predictor
    from lightning_tasks.deploy.load import load
    from lightning_tasks.tasks import (
        BiwiDataModule,
        BiwiSampleDataModule,
        KeypointDataModule,
        KeypointRegressor,
        MultiClassClassifier,
        MultiClassDataModule,
        MultiLabelClassifier,
        MultiLabelDataModule,
        PascalDataModule,
        PascalSampleDataModule,
    )

__version__ = "0.1.0"

__all__ = [
    "BiwiDataModule",
    "BiwiSampleDataModule",
    "FineTune",
    "KeypointDataModule",
    "KeypointRegressor",
    "LRFinder",
    "LabelPrediction",
    "LastCheckpoint",
    "MultiClassClassifier",
    "MultiClassDataModule",
    "MultiLabelClassifier",
    "MultiLabelDataModule",
    "OneCycle",
    "PascalDataModule",
    "PascalSampleDataModule",
    "PointPrediction",
    "Predictor",
    "StepSeed",
    "__version__",
    "load",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    # Lazily, so that `lightning-tasks --help` does not wait for torch.
    if name in __all__:
        for folder in ("tasks", "callbacks", "deploy"):
            module = import_module(f"{__name__}.{folder}")
            if name in module.__all__:
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
