"""What a kind of task is to everybody else: callbacks, deploy, verbs and the command line ask this and nothing more."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pytorch_lightning import Callback, LightningModule
from torch import Tensor

from lightning_tasks.data.datamodule import ImageDataModule
from lightning_tasks.data.loading.cached import side_to_decode
from lightning_tasks.data.tables.formats.annotations import Annotations
from lightning_tasks.data.tables.splits import Rows
from lightning_tasks.data.tables.table_checks import Problem
from lightning_tasks.data.transforms.tensor_resize import Preprocess, Window
from lightning_tasks.errors import ConfigError, TableError
from lightning_tasks.models.base import ImageModel
from lightning_tasks.reports.gallery import Results
from lightning_tasks.tasks.config_draft import ConfigDraft, OwnTable
from lightning_tasks.tasks.prediction import InferenceModule, OutputFormat
from lightning_tasks.tasks.split_predictions import Split, SplitPredictions
from lightning_tasks.tasks.table_draft import Instances, TableDraft

ThresholdAim = Literal["accuracy", "f1", "precision_at_recall"]


class Explanation(Protocol):
    """Where in images one of a model's outputs comes from."""

    def draw(self, found: Any, dataset: Any, n: int, worst: bool) -> Results:  # noqa: ANN401 - of the task
        """Draw it on at most `n` images of a data set, as the model sees them.

        `found` is what the model predicts for it. `worst`: those where this output's loss is highest; else those where
        it is surest.
        """


@dataclass(frozen=True)
class ThresholdChoice:
    """What a checkpoint keeps of chosen thresholds, and what they bring, for a person."""

    hyper_parameters: dict[str, Any]
    table: str
    curve: Figure


class Task(ABC):
    """One kind of question about an image; a folder beside this file holds all that is its own."""

    name: ClassVar[str]  # of the task and of its folder
    names_key: ClassVar[str]  # the hyper-parameter of its models that holds the names of the outputs
    datamodule: ClassVar[type[ImageDataModule]]
    model: ClassVar[type[ImageModel]]
    val_xtra: ClassVar[float] = 0.0  # of data that does not say, as before one could choose; see `Window`
    targets: ClassVar[str]  # what its tables say of an image, in a word for messages, such as "labels"
    header: ClassVar[str]  # the least that its tables have, such as "fname,labels"
    table_name: ClassVar[str] = (
        ""  # of the table that `convert` writes, such as "labels.csv"; "": it has none of its own
    )

    def wrote(self, hyper_parameters: Mapping[str, Any]) -> bool:
        """Return whether a checkpoint with these hyper-parameters is of this task."""
        return self.names_key in hyper_parameters

    # --- tables and configs ---

    def is_meant(self, annotations: Annotations) -> bool:
        """Return whether annotations are meant for this task, where nobody says for which."""
        return False

    def draft_table(self, annotations: Annotations, instances: Instances) -> TableDraft:
        """Return the table of annotations, as this task reads it.

        `instances`: what is done about several objects with points in one image. Raises TableError where there is
        nothing in them for this task, or something cannot be in a table.
        """
        raise TableError(f"{annotations.found}: there are no {self.targets} in it for the task {self.name}.")

    @abstractmethod
    def recognises(self, header: Sequence[str]) -> bool:
        """Return whether a table with these columns is of this task."""

    @abstractmethod
    def draft_config(self, table: OwnTable) -> ConfigDraft | None:
        """Return what a config says of data and training; raise LightningTasksError where the table cannot be used.

        None: its cells are not of this task, and the next one whose columns it has is to draft it.
        """

    # --- data ---

    def find_problems(
        self,
        datamodule: Any,  # noqa: ANN401 - of the task
        table: pd.DataFrame,
        train: Rows,
        valid: Rows,
        sizes_px: NDArray[np.int64],
        min_positives: int,
    ) -> list[Problem]:
        """Return what is wrong with a table: what `fit` asks of it, and what the images' sizes tell.

        Args:
            datamodule: whose table it is.
            table: of N rows, as `datamodule.locate` returns it.
            train: its rows for training.
            valid: and for validation.
            sizes_px: (N, 2), width and height of the images; 0 where one cannot be read.
            min_positives: fewer training images with a label are few.
        """
        found: list[Problem] = datamodule.find_problems(table, train, valid)
        return found

    @abstractmethod
    def describe_sample(self, datamodule: Any, row: int) -> list[str]:  # noqa: ANN401 - of the task
        """Return lines about what is annotated, and about a training sample, step by step on its way to the model.

        The sets of `datamodule` have been read. Raises LightningTasksError where a step fails; the message names both.
        """

    @abstractmethod
    def draw_batch(self, batch: Any, datamodule: Any, originals: bool = False) -> Figure:  # noqa: ANN401 - of the task
        """Draw a training batch as the model will see it, with what is annotated.

        `originals`: each with the untouched image of `datamodule`'s training set on its left.
        """

    # --- training ---

    def callbacks(self, model: Any) -> list[Callback]:  # noqa: ANN401 - of the task
        """Return what every training of a model gets besides what all tasks get."""
        return []

    @abstractmethod
    def draw_results(self, batch: Any, outputs: Tensor, model: Any) -> Figure:  # noqa: ANN401 - of the task
        """Draw a validation batch of B images, on the CPU, with what is true and what is predicted.

        `outputs` is what `model.validation_step` returned of it: (B, ...) float32, on the CPU.
        """

    # --- a split ---

    @abstractmethod
    def predict_split(self, model: Any, datamodule: Any, split: Split = "valid") -> SplitPredictions:  # noqa: ANN401
        """Return what a model predicts for a split, on the model's device: fastai's `get_preds`.

        `train` is augmented, in a shuffled order, without the last, partial batch. Raises LightningTasksError where
        files cannot be read, or the predictions are not finite.
        """

    def split_predictions(
        self,
        model: Any,  # noqa: ANN401 - of the task
        datamodule: Any,  # noqa: ANN401 - likewise
        split: Split,
        outputs: Tensor,
        batch: Any,  # noqa: ANN401 - likewise
    ) -> SplitPredictions:
        """Return what `predict_split` does, of what Lightning's loop has predicted.

        Args:
            model: whose predictions they are.
            datamodule: whose split it is.
            split: which.
            outputs: what `model.validation_step` returned of N images, (N, ...) float32, on the CPU.
            batch: the N images' batches as one, without the images themselves.

        Raises:
            LightningTasksError: the predictions are not finite, or the task does not offer it.
        """
        raise ConfigError(f"There are no intervals (--ci) of a {type(model).__name__}'s scores.")

    # --- a checkpoint: predict, export, serve ---

    def preprocess(self, model: LightningModule, data_settings: Mapping[str, Any]) -> Preprocess:
        """Return what a trained model's images went through, by the settings of its data."""
        size = model.hparams["image_size"]
        factor = self.datamodule.decode_factor
        side = side_to_decode(data_settings.get("decode_side"), size, factor, own_transforms=False)
        return Preprocess(Window(size, data_settings.get("val_xtra", self.val_xtra)), side)

    @abstractmethod
    def inference_module(self, model: Any, preprocess: Preprocess) -> InferenceModule:  # noqa: ANN401 - its own model
        """Return a trained model as programs run it."""

    @abstractmethod
    def output_format(self, model: Any, data_settings: Mapping[str, Any]) -> OutputFormat[Any]:  # noqa: ANN401
        """Return what a trained model's outputs mean; `data_settings`: of the data that it was trained on."""

    # --- what only some tasks offer ---

    def grad_cam(self, model: Any, label: str) -> Explanation:  # noqa: ANN401 - of the task
        """Return where in images a label comes from.

        Raises:
            ConfigError: the model has no labels, not this one, or no map of features.
            MissingLibraryError: captum is not installed.
        """
        raise ConfigError(f"--grad_cam explains a label of a classifier; this is a {type(model).__name__}.")

    def require_suspects(self) -> None:  # noqa: B027 - most need nothing for it
        """Raise MissingLibraryError where `SplitPredictions.suspects` needs a library that is not installed."""

    def choose_thresholds(
        self,
        model: Any,  # noqa: ANN401 - of the task
        predict: Callable[[], Any],
        aim: ThresholdAim = "f1",
        recall: float = 0.8,
        each_label: bool = True,
        calibrate: bool = False,
    ) -> ThresholdChoice:
        """Return from which probability on a label is predicted; for the last four see `verbs.thresholds`.

        `predict` returns the model's SplitPredictions: it is asked only where they are of use.

        Raises:
            ConfigError: the model has no thresholds, or there are too few images.
        """
        raise ConfigError("Thresholds are for images with any number of labels; this checkpoint's have not.")
