"""What a kind of task is to everybody else: callbacks, deploy, verbs and the command line ask this and nothing more."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from pytorch_lightning import LightningModule

from lightning_tasks.data.datamodule import ImageDataModule
from lightning_tasks.data.loading.cached import side_to_decode
from lightning_tasks.data.transforms.tensor_resize import Preprocess, Window
from lightning_tasks.tasks.prediction import InferenceModule, OutputFormat


class Task(ABC):
    """One kind of question about an image; a folder beside this file holds all that is its own.

    Attributes:
        name: of the task and of its folder.
        names_key: the hyper-parameter of its models that holds the names of the outputs.
        datamodule: the class of its data modules.
        model: the class of its models.
        val_xtra: of data that does not say, as before one could choose; see `Window`.
    """

    name: ClassVar[str]
    names_key: ClassVar[str]
    datamodule: ClassVar[type[ImageDataModule]]
    model: ClassVar[type[LightningModule]]
    val_xtra: ClassVar[float] = 0.0

    def wrote(self, hyper_parameters: Mapping[str, Any]) -> bool:
        """Return whether a checkpoint with these hyper-parameters is of this task."""
        return self.names_key in hyper_parameters

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
