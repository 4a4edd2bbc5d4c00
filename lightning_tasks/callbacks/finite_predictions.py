"""The callback that keeps scores from being told of a model that predicts no numbers."""

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from lightning_tasks.errors import ConfigError


class FinitePredictions(Callback):
    """End `validate` and `test` where a prediction is NaN or infinite: a rank or a threshold would still score it.

    Predictions are what `validation_step` and `test_step` return, if that is a tensor. A device is waited for once.
    """

    def __init__(self) -> None:
        self._finite: list[Tensor] = []

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, *_: object, **__: object
    ) -> None:
        """Look at a batch, but do not wait for the answer."""
        if isinstance(outputs, Tensor):
            self._finite.append(outputs.isfinite().all())

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, *_: object, **__: object
    ) -> None:
        """Do as `on_validation_batch_end`."""
        self.on_validation_batch_end(trainer, pl_module, outputs)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Raise ConfigError, on every process, where one of them has seen a prediction that is no number."""
        bad = bool(self._finite) and not torch.stack(self._finite).all()
        self._finite = []
        if trainer.strategy.reduce_boolean_decision(bad, all=False):
            raise ConfigError(
                "The model predicts NaN: its training diverged. Take an earlier checkpoint, or train at a lower rate."
            )

    on_test_epoch_end = on_validation_epoch_end
