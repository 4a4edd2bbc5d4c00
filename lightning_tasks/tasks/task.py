"""What a kind of task is to everybody else: callbacks, deploy, verbs and the command line ask this and nothing more."""

from abc import ABC
from collections.abc import Mapping
from typing import Any, ClassVar

from pytorch_lightning import LightningModule

from lightning_tasks.data.datamodule import ImageDataModule


class Task(ABC):
    """One kind of question about an image; a folder beside this file holds all that is its own.

    Attributes:
        name: of the task and of its folder.
        names_key: the hyper-parameter of its models that holds the names of the outputs.
        datamodule: the class of its data modules.
        model: the class of its models.
    """

    name: ClassVar[str]
    names_key: ClassVar[str]
    datamodule: ClassVar[type[ImageDataModule]]
    model: ClassVar[type[LightningModule]]

    def wrote(self, hyper_parameters: Mapping[str, Any]) -> bool:
        """Return whether a checkpoint with these hyper-parameters is of this task."""
        return self.names_key in hyper_parameters
