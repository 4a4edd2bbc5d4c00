"""Numbers for a whole split, beside the true ones."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

from matplotlib.figure import Figure
from torch import Tensor

from lightning_tasks.csv_text import describe_renames, distinct_columns, write_csv
from lightning_tasks.reports.gallery import ReadReduced
from lightning_tasks.reports.run_info import RunInfo
from lightning_tasks.tasks.prediction import Annotation, NamedNumber
from lightning_tasks.tasks.split_predictions import (
    Split,
    SplitPredictions,
    files_of,
    loader_of,
    predict_batches,
    require_finite,
)
from lightning_tasks.tasks.suspects import Suspect
from lightning_tasks.tasks.values.datamodule import ValueDataModule
from lightning_tasks.tasks.values.draw import draw_results
from lightning_tasks.tasks.values.label_errors import value_suspects
from lightning_tasks.tasks.values.losses import element_losses
from lightning_tasks.tasks.values.page import ValueDetails, value_page
from lightning_tasks.tasks.values.regressor import ValueRegressor
from lightning_tasks.tasks.values.resampled import resampled_target
from lightning_tasks.tasks.values.scores import ValueScores, value_scores

_COLUMNS = ("fname",)


@dataclass(frozen=True, kw_only=True)
class ValuePredictions(SplitPredictions):
    """N images with T numbers each; see `SplitPredictions`.

    Attributes:
        names: of the T targets.
        predicted: (N, T) float32 in their own units.
        targets: (N, T) float32, NaN where unknown.
        mean: (N, T) of the training split of the model that predicted the image.
        std: (N, T), likewise.
        median: (N, T), likewise.
    """

    lower_is_better: ClassVar[tuple[str, ...]] = ("loss", "mae_", "rmse_")
    card: ClassVar[str] = "values/card.html.j2"

    names: list[str]
    predicted: Tensor
    targets: Tensor
    mean: Tensor
    std: Tensor
    median: Tensor

    def losses(self) -> Tensor:
        """Return each image's mean squared error (N,) in standard deviations; NaN where nothing is known."""
        return self._cell_losses().nanmean(1)

    def _cell_losses(self) -> Tensor:
        """Return the squared errors (N, T) in standard deviations; NaN where unknown."""
        return element_losses("mse", *((values - self.mean) / self.std for values in (self.predicted, self.targets)))

    def on_scale_of(self, other: Self) -> Self:
        """Return these with losses in the standard deviations of another model's training; see `SplitPredictions`."""
        columns = [other.names.index(name) for name in self.names]
        return replace(self, mean=other.mean[:, columns], std=other.std[:, columns], median=other.median[:, columns])

    def scores(self) -> dict[str, ValueScores]:
        """Return the scores of each target by its name."""
        return value_scores(self.predicted, self.targets, self.names, self.mean, self.median)

    def score(self) -> float:
        """Return the mean squared error in standard deviations."""
        return float(self.losses().nanmean())

    def resampled(self, counts: Tensor) -> dict[str, Tensor]:
        """Return the scores of resamples, such as `mae_age`; see `SplitPredictions`."""
        cells, counted = self._cell_losses().double(), counts.double()
        loss = (cells.nansum(1) @ counted) / ((~cells.isnan()).double().sum(1) @ counted)
        columns = zip(self.names, self.predicted.T, self.targets.T, strict=True)
        of_targets = {name: resampled_target(counts, *pair) for name, *pair in columns}
        kinds = {f"{kind}_{name}": value for name, found in of_targets.items() for kind, value in found.items()}
        return {"loss": loss, **kinds}

    def draw(self, rows: Tensor, losses: Sequence[float] = ()) -> Figure:
        """Draw images with their true and predicted numbers."""
        return draw_results(self.images(rows), self.targets[rows], self.predicted[rows], self.names, losses)

    def write_csv(self, path: Path, *, excel: bool = False) -> list[str]:
        """Write the predicted numbers, and the true ones where they are known; see `SplitPredictions`."""
        names = distinct_columns(self.names, _COLUMNS)
        table = [[*_COLUMNS, *names, *(f"{name}_annotated" for name in names)]]
        for fname, predicted, targets in zip(self.paths, self.predicted, self.targets, strict=True):
            true = ["" if value != value else f"{value:.7g}" for value in targets.tolist()]
            table.append([str(fname), *(f"{value:.7g}" for value in predicted.tolist()), *true])
        write_csv(path, table, excel=excel)
        return describe_renames(self.names, _COLUMNS)

    def suspects(self) -> list[Suspect]:
        """Return the numbers that are probably wrong; see `value_suspects`."""
        return value_suspects(self.predicted, self.targets, self.names)

    def corrected(self, row: int, suspects: Sequence[Suspect]) -> Annotation:
        """Return the known numbers, with the predicted one in place of a suspicious one."""
        wrong = {suspect.what for suspect in suspects}
        columns = zip(self.names, self.targets[row].tolist(), self.predicted[row].tolist(), strict=True)
        right = [(name, predicted if name in wrong else known) for name, known, predicted in columns]
        return Annotation(numbers=tuple(NamedNumber(name, round(v, 6)) for name, v in right if not math.isnan(v)))

    def report(self, run: RunInfo, split: str, read: ReadReduced, ci: float | None = None) -> str:
        """Return an html page."""
        return value_page(self, run, split, read, ci)

    def card_details(self, row: int) -> ValueDetails:
        """Return an image's numbers."""
        columns = (self.names, self.targets[row].tolist(), self.predicted[row].tolist())
        return ValueDetails(list(zip(*columns, strict=True)))


def predict_values(model: ValueRegressor, datamodule: ValueDataModule, split: Split = "valid") -> ValuePredictions:
    """Return the numbers of a split's images; see `predict_batches`.

    Raises:
        LightningTasksError: files cannot be read, or the predictions are not finite.
    """
    predicted, targets, rows = predict_batches(
        model, loader_of(datamodule, split), lambda batch: (model.predict_step(batch), batch.targets, batch.rows)
    )
    return value_predictions(model, datamodule, split, predicted, targets, rows)


def value_predictions(
    model: ValueRegressor, datamodule: ValueDataModule, split: Split, predicted: Tensor, targets: Tensor, rows: Tensor
) -> ValuePredictions:
    """Return predicted numbers (N, T) of some rows (N,) of a split beside the true ones; ConfigError: not finite."""
    require_finite(predicted)
    mean, std, median = (
        of_model.cpu().expand_as(predicted) for of_model in (model.head.mean, model.head.std, model.head.median)
    )
    return ValuePredictions(
        **files_of(datamodule, split, rows),
        names=model.targets,
        predicted=predicted,
        targets=targets,
        mean=mean,
        std=std,
        median=median,
    )
