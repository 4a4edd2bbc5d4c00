"""The task `keypoints`, put together."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from lightning_tasks.data.images.decode import read_image
from lightning_tasks.data.tables.formats.annotations import Annotations
from lightning_tasks.data.tables.point_columns import coordinate_column
from lightning_tasks.data.tables.splits import Rows
from lightning_tasks.data.tables.table_checks import Problem
from lightning_tasks.data.transforms.tensor_resize import Preprocess
from lightning_tasks.reports.grid import to_arrays
from lightning_tasks.tasks.config_draft import ConfigDraft, OwnTable
from lightning_tasks.tasks.keypoints.checks import OUTSIDE, UNIT, find_points_outside
from lightning_tasks.tasks.keypoints.datamodule import KeypointDataModule
from lightning_tasks.tasks.keypoints.dataset import KeypointBatch
from lightning_tasks.tasks.keypoints.draft import draft_points
from lightning_tasks.tasks.keypoints.draw import draw_batch, draw_results
from lightning_tasks.tasks.keypoints.output import PointFormat, PointModule
from lightning_tasks.tasks.keypoints.predictions import PointPredictions, point_predictions, predict_points
from lightning_tasks.tasks.keypoints.regressor import KeypointRegressor, mirrored_order
from lightning_tasks.tasks.keypoints.summary import count_points, describe_sample
from lightning_tasks.tasks.keypoints.table_draft import draft_points_table, has_points
from lightning_tasks.tasks.split_predictions import Split
from lightning_tasks.tasks.table_draft import Instances, TableDraft
from lightning_tasks.tasks.task import Task


class Keypoints(Task):
    """Where are the points of an image?"""

    name = "keypoints"
    names_key = "point_names"
    datamodule = KeypointDataModule
    model = KeypointRegressor
    targets = "points"
    header = "fname,<point>_x,<point>_y"
    table_name = "points.csv"

    def recognises(self, header: Sequence[str]) -> bool:
        """Return whether there are columns of points, also such as noseX, of which its table tells how to name them."""
        if any(name.endswith("_x") for name in header) and any(name.endswith("_y") for name in header):
            return True
        return "labels" not in header and any(coordinate_column(name) not in (None, name) for name in header)

    def is_meant(self, annotations: Annotations) -> bool:
        """Return whether there are points."""
        return has_points(annotations)

    def draft_table(self, annotations: Annotations, instances: Instances) -> TableDraft:
        """Return the table of points."""
        return draft_points_table(annotations, instances)

    def draft_config(self, table: OwnTable) -> ConfigDraft:
        """Return what a config says of the data."""
        return draft_points(table)

    def find_problems(
        self,
        datamodule: KeypointDataModule,
        table: pd.DataFrame,
        train: Rows,
        valid: Rows,
        sizes_px: NDArray[np.int64],
        min_positives: int,
    ) -> list[Problem]:
        """Return what is wrong with a table, and each point that lies outside its image."""
        problems = datamodule.find_problems(table, train, valid)
        if any(problem.kind == UNIT for problem in problems):
            return problems
        told = [problem for problem in problems if problem.kind != OUTSIDE]  # here each point is told
        return told + find_points_outside(table, datamodule.csv, sizes_px)

    def describe_sample(self, datamodule: KeypointDataModule, row: int) -> list[str]:
        """Return where each point lies, and what happens to a sample."""
        counts = count_points(datamodule.point_names, datamodule.train_set, datamodule.valid_set)
        return [*counts, "", *describe_sample(datamodule.train_set, row)]

    def draw_batch(self, batch: KeypointBatch, datamodule: KeypointDataModule, originals: bool = False) -> Figure:
        """Draw images with their visible points."""
        dataset, rows = datamodule.train_set, batch.rows.tolist() if originals else []
        images = [read_image(dataset.paths[row], white_level=datamodule.white_level) for row in rows]
        points = [torch.from_numpy(dataset.points_px[row]) for row in rows]
        return draw_batch(batch, images, [point[~point.isnan().any(1)] for point in points])

    def draw_results(self, batch: KeypointBatch, outputs: Tensor, model: KeypointRegressor) -> Figure:
        """Draw images with their annotated and predicted points."""
        size_px = torch.tensor([batch.images.shape[-1], batch.images.shape[-2]])
        targets = torch.where(batch.visible[..., None], batch.points_norm, torch.nan)
        errors_px = ((outputs - targets) * batch.original_size_px[:, None] / 2).norm(dim=-1)
        images = to_arrays(batch.images)
        return draw_results(images, (targets + 1) * size_px / 2, (outputs + 1) * size_px / 2, errors_px)

    def predict_split(
        self, model: KeypointRegressor, datamodule: KeypointDataModule, split: Split = "valid"
    ) -> PointPredictions:
        """Return the predicted points."""
        return predict_points(model, datamodule, split)

    def split_predictions(
        self,
        model: KeypointRegressor,
        datamodule: KeypointDataModule,
        split: Split,
        outputs: Tensor,
        batch: KeypointBatch,
    ) -> PointPredictions:
        """Return the predicted points, which `outputs` are."""
        return point_predictions(model, datamodule, split, outputs, batch)

    def inference_module(self, model: KeypointRegressor, preprocess: Preprocess) -> PointModule:
        """Return a trained regressor as programs run it."""
        return PointModule(model, preprocess)

    def output_format(self, model: KeypointRegressor, data_settings: Mapping[str, Any]) -> PointFormat:
        """Return what its outputs mean."""
        names = tuple(model.point_names)
        mirrored = mirrored_order(names, data_settings.get("swap_pairs"))
        return PointFormat(names, mirrored, model.hparams["image_size"])
