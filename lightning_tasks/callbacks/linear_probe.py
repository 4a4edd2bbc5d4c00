"""The callback that fits the head to a frozen backbone's features before the first batch."""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import product
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint, WeightAveraging
from pytorch_lightning.utilities.seed import isolate_rng
from torch import Tensor

from lightning_tasks.data.datamodule import ImageDataModule
from lightning_tasks.errors import ConfigError
from lightning_tasks.models.base import ImageModel
from lightning_tasks.probe.feature_file import Shelf
from lightning_tasks.probe.features import Features, extract_features
from lightning_tasks.probe.head_fit import Setting, Table, apply_head
from lightning_tasks.probe.report import probe_lines, score_line, write_candidates
from lightning_tasks.probe.search import (
    Candidate,
    FitOptions,
    Scores,
    better,
    fit,
    readable,
    score,
    search,
    tables_of,
    training_folds,
)
from lightning_tasks.training.run_paths import run_folder

# On PASCAL's training half (tf_efficientnet_lite0, 256 px, two views, three folds of five) the decays 1e-4, 1e-3, 3e-3
# and 1e-2 gave mAP .8619 .8631 .8647 .8652 at this rate, .8537 .8585 .8627 .8654 at three times it.
WEIGHT_DECAYS, LRS = (1e-3, 1e-2, 1e-1), (1e-3,)


class LinearProbe(Callback):
    """A linear probe at the start of a `fit`: the head that suits the frozen backbone, found before the first batch.

    The backbone sees some views of each training image, and each validation image, once; its features are kept for the
    runs to come. Heads are fitted to them over a grid of weight decay and rate, which cross-validation over the
    training rows decides: groups stay whole, and the validation split chooses nothing. The chosen pair's head, fitted
    to all training rows, is what the training starts from. It needs labels or numbers, and a head of pooled features;
    the module is one of ours. Rare labels weigh, and are shown more often, as in training. A resumed run does not
    probe again.

    Args:
        views: of each training image: as it is validated, then as augmented in the training's first epochs.
        folds: of the cross-validation.
        weight_decays: of the grid: half of it times the squared norm of the head's matrices is added to the loss.
        lrs: of the grid: highest rates.
        epochs: of each fit of a head.
        batch_size: of each fit of a head.
        keep_gb: features of all runs together take no more on the disk; 0: they are not kept.
        only: stop after the probe, with the scores and the checkpoints of a run, and the grid in `probe.csv`.
        validate: score the fitted head on the validation split; False saves that pass where training follows.

    Attributes:
        candidates: the grid's scores; empty before, and in a resumed run.
        chosen: the one that the head was fitted with; None likewise.
        scores: what the validation split scores, by the kept features.
        features: what the backbone made of the images.
    """

    def __init__(
        self,
        views: int = 2,
        folds: int = 5,
        weight_decays: Sequence[float] = WEIGHT_DECAYS,
        lrs: Sequence[float] = LRS,
        epochs: int = 12,
        batch_size: int = 256,
        keep_gb: float = 4.0,
        only: bool = False,
        validate: bool = True,
    ) -> None:
        for name, value, least in (("views", views, 1), ("folds", folds, 2), ("epochs", epochs, 1)):
            if value < least:
                raise ConfigError(f"LinearProbe's {name} is {value}; it must be at least {least}.")
        if batch_size < 2:
            raise ConfigError(f"LinearProbe's batch_size is {batch_size}; batch normalisation needs 2 at least.")
        self.settings = [Setting(*pair) for pair in product(weight_decays, lrs)]
        if not self.settings or any(decay < 0 or lr <= 0 for decay, lr in self.settings):
            raise ConfigError(
                f"LinearProbe's grid needs rates above 0 and weight decays from 0 on: lrs {[*lrs]}, weight_decays "
                f"{[*weight_decays]}."
            )
        self.views, self.folds = views, folds
        self.options = FitOptions(epochs, batch_size)
        self.keep_gb = keep_gb
        self.only = only
        self.validate = validate or only
        self._forget()

    def _forget(self) -> None:
        self._done = False
        self.candidates: list[Candidate] = []
        self.chosen: Candidate | None = None
        self.scores: Scores = {}
        self.features: Features | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse what has no head to be fitted."""
        if stage == "fit":
            self._forget()
            require_probe(trainer, pl_module, getattr(trainer, "datamodule", None))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Probe once, before the run's first batch."""
        if self._done or trainer.global_step or trainer.fast_dev_run:  # type: ignore[attr-defined]  # Lightning sets it at run time
            return
        assert isinstance(pl_module, ImageModel)
        datamodule: ImageDataModule = trainer.datamodule  # type: ignore[attr-defined]  # likewise
        with isolate_rng():
            self._probe(trainer, pl_module, datamodule)
        self._done = True

    def _probe(self, trainer: Trainer, model: ImageModel, datamodule: ImageDataModule) -> None:
        folder = datamodule.cache_settings.folder
        shelf = Shelf(None if folder is None else Path(folder), self.keep_gb)
        features = self.features = extract_features(trainer, model, datamodule, self.views, shelf, self.validate)
        tables = tables_of(features, torch.from_numpy(datamodule.train_set.targets))
        started, options = time.perf_counter(), self._options(datamodule)
        folds = training_folds(datamodule, self.folds)
        if len(self.settings) > 1 or self.only:
            self.candidates = search(model, tables, folds, self.settings, options)
        else:  # there is nothing to be chosen
            self.candidates = [Candidate(self.settings[0], ())]
        self.chosen = self.candidates[better([found.mean for found in self.candidates], model.mode)]
        modes = [(module, module.training) for module in model.head.modules()]  # FineTune may keep some as they are
        (head,) = fit(model, tables, folds >= -1, [self.chosen.setting], options)  # all rows
        model.head.load_state_dict(head.state_dict())
        if self.validate:
            valid = readable(self._valid_table(datamodule))
            with trainer.precision_plugin.val_step_context():
                outputs = apply_head(model.head, valid.features)
            self.scores = score(model, outputs, valid)
        for module, training in modes:
            module.training = training
        _begin_averages(trainer, model)
        seconds = time.perf_counter() - started
        for line in probe_lines(model.monitor, features, self.candidates, self.chosen, seconds):
            trainer.print(line)
        if self.scores and not self.only:
            trainer.print(score_line(model.monitor, self.scores))
        if self.only and trainer.is_global_zero:
            write_candidates(run_folder(trainer) / "probe.csv", model.monitor, self.candidates, self.chosen)

    def _options(self, datamodule: ImageDataModule) -> FitOptions:
        return self.options._replace(seed=datamodule.seed, repeat_factors=datamodule.repeat_factors())

    def _valid_table(self, datamodule: ImageDataModule) -> Table:
        assert self.features is not None
        targets = torch.from_numpy(datamodule.valid_set.targets)
        return Table(torch.tensor(self.features.valid), targets, torch.arange(len(targets)))

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Validate and end, where that is all."""
        if not self.only:
            return
        savers = [callback for callback in trainer.checkpoint_callbacks if isinstance(callback, ModelCheckpoint)]
        for callback in savers:
            callback._last_global_step_saved = -1  # or Lightning saves none where there was no step
        with self._kept_features(pl_module):
            trainer.validating = True
            trainer.fit_loop.epoch_loop.val_loop.run()
            trainer.training = True
        for callback in savers:
            callback.on_train_epoch_end(trainer, pl_module)
        if logged := {
            name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")
        }:
            self.scores = logged
            trainer.print(score_line(pl_module.monitor, self.scores))  # type: ignore[arg-type]  # taken for a tensor
        raise StopIteration  # by which Lightning's loop ends in order

    def _kept_features(self, model: LightningModule) -> AbstractContextManager[Any]:
        """Let the model take the features that were kept, in place of the validation images."""
        if self.features is None or getattr(model, "flip_tta", False):  # nobody has kept those of mirrored images
            return nullcontext()
        valid = torch.tensor(self.features.valid)

        def forward(_: Tensor) -> Tensor:
            return apply_head(model.head, valid[self._rows.cpu()]).to(model.device)  # type: ignore[arg-type]  # taken for a tensor

        return mock.patch.object(model, "forward", forward)

    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,  # noqa: ANN401 - the task's
        batch_idx: int,
        *_: object,
    ) -> None:
        """Note which images are validated."""
        if self.only:
            self._rows = batch.rows

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return {"done": self._done}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take what was stored."""
        self._done = state_dict["done"]


def _begin_averages(trainer: Trainer, model: ImageModel) -> None:
    """Let averages of weights begin with the head, too: until their first update they are what validates."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]  # Lightning sets it at run time
        if isinstance(callback, WeightAveraging) and callback._average_model is not None:
            callback._average_model.module.load_state_dict(model.state_dict())


def require_probe(trainer: Trainer, model: LightningModule, datamodule: object) -> None:
    """Raise ConfigError unless the model's head can be fitted to features of the data module's images."""
    if not isinstance(model, ImageModel) or not isinstance(datamodule, ImageDataModule):
        raise ConfigError(
            f"A linear probe needs a model and a data module of ours, not {type(model).__name__} and "
            f"{type(datamodule).__name__}. Train with `fit`, without LinearProbe."
        )
    if model.why_no_probe is not None:
        raise ConfigError(f"No linear probe: {model.why_no_probe}")
    if trainer.world_size > 1:
        raise ConfigError(
            f"A linear probe runs in one process, not in {trainer.world_size}: lightning-tasks probe with "
            "--trainer.devices 1; then fit --model.weights BEST.ckpt on all devices, without LinearProbe."
        )
