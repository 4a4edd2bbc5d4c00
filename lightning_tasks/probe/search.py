"""Which weight decay and which rate: k-fold cross-validation over the training rows, scored by the model's metrics."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection

from lightning_tasks.batch import TargetBatch
from lightning_tasks.data.datamodule import ImageDataModule
from lightning_tasks.data.loading.oversampling import RepeatFactors
from lightning_tasks.data.tables.splits import Rows, deal_folds
from lightning_tasks.errors import TableError
from lightning_tasks.models.base import ImageModel
from lightning_tasks.probe.features import Features
from lightning_tasks.probe.head_fit import Setting, Table, apply_head, fit_heads

_FEWEST = 2  # batch normalisation needs them
Scores = dict[str, float]
Mask = NDArray[np.bool_]


class FitOptions(NamedTuple):
    """How each head is fitted."""

    epochs: int
    batch_size: int
    seed: int = 0
    repeat_factors: RepeatFactors | None = None  # of all training rows (N,)


class Candidate(NamedTuple):
    """A setting, and its score on each fold."""

    setting: Setting
    scores: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean score, of the folds that have one; NaN where none has."""
        return float(np.mean(self._known)) if len(self._known) else np.nan

    @property
    def spread(self) -> float:
        """The standard deviation over these folds."""
        return float(np.std(self._known, ddof=1)) if len(self._known) > 1 else np.nan

    @property
    def _known(self) -> list[float]:
        return [score for score in self.scores if np.isfinite(score)]


def training_folds(datamodule: ImageDataModule, folds: int) -> Rows:
    """Return which fold holds each training row out (N,), -1: none; groups and images stay whole, labels are shared.

    Raises:
        TableError: there are too few images, or groups, for so many folds.
    """
    table, source = datamodule.table, str(datamodule.csv)
    strata = datamodule.strata(table) if datamodule.stratify else None
    found = deal_folds(table, datamodule.split[0], folds, datamodule.split_seed, strata, source)
    if np.bincount(found[found >= 0], minlength=folds).min() == 0:
        raise TableError(
            f"{source}: of {folds} folds one would be empty, as what is alone with a label trains in every one. Take "
            "fewer folds, or data.stratify false."
        )
    return found


def tables_of(features: Features, targets: Tensor) -> list[Table]:
    """Return each view's table of N training rows, of which those of images that cannot be read hold NaN."""
    rows = torch.arange(len(targets))
    return [Table(torch.from_numpy(np.array(view)), targets, rows) for view in features.train]


def search(
    model: ImageModel, views: Sequence[Table], fold_of_row: Rows, settings: Sequence[Setting], options: FitOptions
) -> list[Candidate]:
    """Return the scores of each setting on each fold, which is scored by the first view of its images."""
    scores: list[list[float]] = [[] for _ in settings]
    for fold in range(int(fold_of_row.max()) + 1):
        heads = fit(model, views, fold_of_row != fold, settings, options)
        held_out = readable(views[0].take(fold_of_row == fold))
        for found, head in zip(scores, heads, strict=True):
            found.append(score(model, apply_head(head, held_out.features), held_out)[model.monitor])
    return [Candidate(setting, tuple(found)) for setting, found in zip(settings, scores, strict=True)]


def better(scores: Sequence[float], mode: str) -> int:
    """Return where the best of some scores is, the lowest or highest; of equals the first; NaN is worse than any."""
    sign = -1.0 if mode == "min" else 1.0
    return int(np.argmax(np.nan_to_num(sign * np.array(scores), nan=-np.inf)))


def fit(
    model: ImageModel, views: Sequence[Table], used: Mask, settings: Sequence[Setting], options: FitOptions
) -> list[nn.Module]:
    """Return a head for each setting, fitted to all views of the rows that are used (N,)."""
    parts = [readable(view.take(used)) for view in views]
    table = Table(*(torch.cat(part) for part in zip(*parts, strict=True)))
    if len(table.rows) < _FEWEST:
        raise TableError("A head cannot be fitted to one image. Add images to the training split, or take fewer folds.")

    def loss(outputs: Tensor, targets: Tensor, rows: Tensor) -> Tensor:
        return model.training_loss(outputs, TargetBatch(outputs, targets, rows))

    factors = None if options.repeat_factors is None else options.repeat_factors[table.rows.numpy()]
    return fit_heads(model.head, settings, table, loss, *options[:-1], factors)


def readable(table: Table) -> Table:
    """Return the rows that have features: the images of the others cannot be read."""
    there = ~table.features[:, 0].isnan()
    return table if bool(there.all()) else table.take(there)


def score(model: ImageModel, outputs: Tensor, table: Table) -> Scores:
    """Return what a validation of rows would log, of a head's outputs (N, ...)."""
    with torch.no_grad(), _caught_logs(model) as logged:
        batch = TargetBatch(table.features, table.targets.to(model.device), table.rows)
        outputs = model.calibrate(outputs.to(model.device))
        model.gather("val", model.evaluation_loss(outputs, batch), model.decode(outputs), batch)
        model.on_validation_epoch_end()
        values = {name: value.compute() if isinstance(value, Metric) else value for name, value in logged.items()}
        return {name: float(value) for name, value in values.items()}


@contextmanager
def _caught_logs(model: ImageModel) -> Iterator[dict[str, Any]]:
    """Yield what the model would have logged; its metrics are as new before and after."""
    caught: dict[str, Any] = {}

    def log(name: str, value: Any, **_: Any) -> None:  # noqa: ANN401 - Lightning's
        caught[name] = value

    def log_dict(values: Mapping[str, Any], **_: Any) -> None:  # noqa: ANN401 - likewise
        caught.update(values.compute() if isinstance(values, MetricCollection) else values)

    def reset() -> None:
        for metric in (model.losses["val"], *model.metrics["val"].modules()):
            if isinstance(metric, Metric | MetricCollection):
                metric.reset()

    reset()
    try:
        with mock.patch.object(model, "log", log), mock.patch.object(model, "log_dict", log_dict):
            yield caught
    finally:
        reset()
