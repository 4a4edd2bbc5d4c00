"""Every task there is, and which one something belongs to."""

from collections.abc import Mapping
from typing import Any

from pytorch_lightning import LightningDataModule, LightningModule

from lightning_tasks.errors import ConfigError
from lightning_tasks.tasks.keypoints.task import Keypoints
from lightning_tasks.tasks.multiclass.task import MultiClass
from lightning_tasks.tasks.multilabel.task import MultiLabel
from lightning_tasks.tasks.task import Task

TASKS: tuple[Task, ...] = (MultiClass(), MultiLabel(), Keypoints())  # a subclass of another's classes before it


def task_of(thing: LightningDataModule | LightningModule | Mapping[str, Any]) -> Task:
    """Return the task of a data module, of a model, or of a checkpoint by its hyper-parameters.

    Raises:
        ConfigError: it is of none of our tasks.
    """
    for task in TASKS:
        if isinstance(thing, Mapping):
            if task.wrote(thing):
                return task
        elif isinstance(thing, (task.datamodule, task.model)):
            return task
    what = "The checkpoint" if isinstance(thing, Mapping) else type(thing).__name__
    known = ", ".join(f"{task.name} ({task.datamodule.__name__}, {task.model.__name__})" for task in TASKS)
    raise ConfigError(f"{what} is of none of the tasks that are known here: {known}.")
