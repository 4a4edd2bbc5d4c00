"""Points for a whole split, beside the annotated ones."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import torch
from matplotlib.figure import Figure
from torch import Tensor

from lightning_tasks.csv_text import write_csv
from lightning_tasks.reports.gallery import ReadReduced
from lightning_tasks.reports.run_info import RunInfo
from lightning_tasks.tasks.keypoints.datamodule import KeypointDataModule
from lightning_tasks.tasks.keypoints.dataset import KeypointBatch
from lightning_tasks.tasks.keypoints.draw import draw_results
from lightning_tasks.tasks.keypoints.label_errors import point_suspects
from lightning_tasks.tasks.keypoints.page import PointDetails, point_details, point_page
from lightning_tasks.tasks.keypoints.pairs import find_mirroring
from lightning_tasks.tasks.keypoints.regressor import KeypointRegressor, mirrored_order
from lightning_tasks.tasks.keypoints.resampled import resampled_points
from lightning_tasks.tasks.keypoints.scores import (
    PointScores,
    distances_px,
    original_points_px,
    point_losses,
    point_scores,
)
from lightning_tasks.tasks.keypoints.table import position_columns
from lightning_tasks.tasks.prediction import Annotation, NamedPoint
from lightning_tasks.tasks.split_predictions import (
    Split,
    SplitPredictions,
    files_of,
    loader_of,
    predict_batches,
    require_finite,
)
from lightning_tasks.tasks.suspects import Suspect


@dataclass(frozen=True, kw_only=True)
class PointPredictions(SplitPredictions):
    """N images with P points each; see `SplitPredictions`."""

    lower_is_better: ClassVar[tuple[str, ...]] = ("loss", "median_px", "mean_px", "p95_px")
    card: ClassVar[str] = "keypoints/card.html.j2"

    point_names: list[str]
    points_norm: Tensor  # (N, P, 2) float32, predicted, on the −1..1 scale
    targets_norm: Tensor  # (N, P, 2) float32
    visible: Tensor  # (N, P) bool, which points are annotated
    original_size_px: Tensor  # (N, 2) float32, width and height of the image on disk
    points_px: Tensor  # (N, P, 2) float32, predicted, in the pixels of the image on disk
    targets_px: Tensor  # (N, P, 2) float32, likewise; NaN where not visible
    swap_pairs: list[tuple[str, str]] = field(default_factory=list)  # of points that change places when mirrored

    def losses(self) -> Tensor:
        """Return each image's mean squared error (N,); see `point_losses`."""
        return point_losses(self.points_norm, self.targets_norm, self.visible)

    def errors_px(self) -> Tensor:
        """Return how far off the points are (N, P), in pixels of the images on disk; NaN where not visible."""
        distances: Tensor = torch.linalg.vector_norm(self.points_px - self.targets_px, dim=-1)
        return distances

    def scores(self) -> PointScores:
        """Return the scores over all annotated points."""
        return point_scores(*self.of_points)

    @property
    def of_points(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What scores are made of: predicted and true points, which of them are visible, and the images' sizes."""
        return self.points_norm, self.targets_norm, self.visible, self.original_size_px

    def score(self) -> float:
        """Return the median error in pixels of the images on disk."""
        return self.scores().median_px

    def resampled(self, counts: Tensor) -> dict[str, Tensor]:
        """Return the scores of resamples, and the median error of each point; see `SplitPredictions`."""
        squared_norm = (self.points_norm - self.targets_norm).square().sum(-1)
        off_px = distances_px(*self.of_points).masked_fill(~self.visible, torch.nan)
        return resampled_points(counts, off_px, squared_norm)

    def draw(self, rows: Tensor, losses: Sequence[float] = ()) -> Figure:
        """Draw images with their annotated and predicted points."""
        places = (self.targets_px[rows], self.points_px[rows], self.errors_px()[rows])
        return draw_results(self.images(rows), *places, losses)

    def write_csv(self, path: Path, *, excel: bool = False) -> list[str]:
        """Write the predicted places in pixels of the images on disk, and the annotated ones where there are any."""
        columns = position_columns(self.point_names)
        table = [["fname", *columns, *(f"{column}_annotated" for column in columns)]]
        for fname, points, targets in zip(self.paths, self.points_px, self.targets_px, strict=True):
            annotated = ["" if value != value else f"{value:.2f}" for value in targets.flatten().tolist()]
            table.append([str(fname), *(f"{value:.2f}" for value in points.flatten().tolist()), *annotated])
        write_csv(path, table, excel=excel)
        return []

    def suspects(self) -> list[Suspect]:
        """Return the points that are probably annotated at a wrong place; see `point_suspects`.

        Which may be swapped the data says, and where it does not, their names.
        """
        pairs = self.swap_pairs or find_mirroring(self.point_names, self.targets_px.numpy()).pairs
        order = mirrored_order(self.point_names, pairs)
        return point_suspects(self.points_px, self.targets_px, self.original_size_px, self.point_names, order)

    def corrected(self, row: int, suspects: Sequence[Suspect]) -> Annotation:
        """Return the annotated points, with the suspicious ones where they should be."""
        right = {suspect.what: suspect.suggested_place for suspect in suspects}
        places = zip(self.point_names, self.targets_px[row].tolist(), self.visible[row].tolist(), strict=True)
        return Annotation(
            points=tuple(
                NamedPoint(name, *(round(number, 6) for number in right.get(name) or place))
                for name, place, is_visible in places
                if is_visible
            )
        )

    def report(self, run: RunInfo, split: str, read: ReadReduced, ci: float | None = None) -> str:
        """Return an html page."""
        return point_page(self, run, split, read, ci)

    def card_details(self, row: int) -> PointDetails:
        """Return an image's points, and how far off they are."""
        return point_details(self, row)


def predict_points(
    model: KeypointRegressor, datamodule: KeypointDataModule, split: Split = "valid"
) -> PointPredictions:
    """Return the points of a split's images; see `predict_batches`.

    Raises:
        LightningTasksError: files cannot be read, or the predictions are not finite.
    """
    outputs, *batch = predict_batches(
        model, loader_of(datamodule, split), lambda batch: (model.predict_step(batch), *batch[1:])
    )
    return point_predictions(model, datamodule, split, outputs, KeypointBatch(torch.empty(0), *batch))


def point_predictions(
    model: KeypointRegressor, datamodule: KeypointDataModule, split: Split, points: Tensor, batch: KeypointBatch
) -> PointPredictions:
    """Return points (N, P, 2) on the −1..1 scale beside a batch of N, without images; ConfigError: not finite."""
    require_finite(points)
    _, targets, visible, sizes, rows = batch
    targets_px = original_points_px(targets, datamodule.image_size, sizes)
    targets_px[~visible] = torch.nan
    return PointPredictions(
        **files_of(datamodule, split, rows),
        point_names=model.point_names,
        points_norm=points,
        targets_norm=targets,
        visible=visible,
        original_size_px=sizes,
        points_px=original_points_px(points, datamodule.image_size, sizes),
        targets_px=targets_px,
        swap_pairs=datamodule.swap_pairs,
    )
