"""The task `values`, put together."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor

from lightning_tasks.batch import TargetBatch
from lightning_tasks.data.images.decode import read_image
from lightning_tasks.data.tables.formats.annotations import Annotations
from lightning_tasks.data.tables.table_checks import ROW_COLUMNS
from lightning_tasks.data.transforms.tensor_resize import Preprocess
from lightning_tasks.reports.grid import to_arrays
from lightning_tasks.tasks.config_draft import ConfigDraft, OwnTable
from lightning_tasks.tasks.split_predictions import Split
from lightning_tasks.tasks.table_draft import Instances, TableDraft
from lightning_tasks.tasks.task import Task
from lightning_tasks.tasks.values.datamodule import ValueDataModule
from lightning_tasks.tasks.values.draft import draft_values
from lightning_tasks.tasks.values.draw import draw_batch, draw_results
from lightning_tasks.tasks.values.output import ValueFormat, ValueModule
from lightning_tasks.tasks.values.predictions import ValuePredictions, predict_values, value_predictions
from lightning_tasks.tasks.values.regressor import ValueRegressor
from lightning_tasks.tasks.values.summary import describe_sample
from lightning_tasks.tasks.values.table import is_taken
from lightning_tasks.tasks.values.table_draft import draft_values_table


class Values(Task):
    """How much? Numbers of an image."""

    name = "values"
    names_key = "targets"
    datamodule = ValueDataModule
    model = ValueRegressor

    # Configs
    targets = "numbers"
    header = "fname,<name>"
    table_name = "values.csv"

    def is_meant(self, annotations: Annotations) -> bool:
        """Return whether there are numbers."""
        return bool(annotations.value_names)

    def draft_table(self, annotations: Annotations, instances: Instances) -> TableDraft:
        """Return the table of numbers."""
        return draft_values_table(annotations)

    def recognises(self, header: Sequence[str]) -> bool:
        """Return whether there is a column that may hold numbers, and none that seems to hold labels or positions."""
        others = [name for name in header if name and name not in ROW_COLUMNS]
        return bool(others) and not any(map(is_taken, header))

    def draft_config(self, table: OwnTable) -> ConfigDraft:
        """Return what a config says of the data."""
        return draft_values(table)

    # Data
    def describe_sample(self, datamodule: ValueDataModule, row: int) -> list[str]:
        """Return what happens to a sample."""
        return describe_sample(datamodule.train_set, row)

    def draw_batch(self, batch: TargetBatch, datamodule: ValueDataModule, originals: bool = False) -> Figure:
        """Draw images with their numbers above."""
        paths = [datamodule.train_set.paths[row] for row in batch.rows] if originals else []
        return draw_batch(batch, datamodule.targets, [read_image(p, white_level=datamodule.white_level) for p in paths])

    # Training
    def draw_results(self, batch: TargetBatch, outputs: Tensor, model: ValueRegressor) -> Figure:
        """Draw images with their true and predicted numbers."""
        return draw_results(to_arrays(batch.images), batch.targets, outputs, model.targets)

    # A split
    def predict_split(
        self, model: ValueRegressor, datamodule: ValueDataModule, split: Split = "valid"
    ) -> ValuePredictions:
        """Return the predicted numbers."""
        return predict_values(model, datamodule, split)

    def split_predictions(
        self, model: ValueRegressor, datamodule: ValueDataModule, split: Split, outputs: Tensor, batch: TargetBatch
    ) -> ValuePredictions:
        """Return the predicted numbers, which `outputs` are."""
        return value_predictions(model, datamodule, split, outputs, batch.targets, batch.rows)

    # A checkpoint
    def inference_module(self, model: ValueRegressor, preprocess: Preprocess) -> ValueModule:
        """Return a trained regressor as programs run it."""
        return ValueModule(model, preprocess)

    def output_format(self, model: ValueRegressor, data_settings: Mapping[str, Any]) -> ValueFormat:
        """Return what its outputs mean."""
        return ValueFormat(tuple(model.targets), model.head.std.cpu().numpy())
