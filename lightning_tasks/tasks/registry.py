"""Every task there is, and which one something belongs to."""

from collections.abc import Mapping
from typing import Any

from pytorch_lightning import LightningDataModule, LightningModule

from lightning_tasks.errors import ConfigError
from lightning_tasks.tasks.keypoints.task import Keypoints
from lightning_tasks.tasks.multiclass.task import MultiClass
from lightning_tasks.tasks.multilabel.task import MultiLabel
from lightning_tasks.tasks.task import Task
from lightning_tasks.tasks.values.task import Values

# A subclass of another's classes stands before it.
TASKS: tuple[Task, ...] = (
    MultiClass(),
    MultiLabel(),
    Keypoints(),
    Values(),
)


def find_task(thing: LightningDataModule | LightningModule | Mapping[str, Any]) -> Task | None:
    """Return what `task_of` does; None: it is a user's own."""
    for task in TASKS:
        if task.wrote(thing) if isinstance(thing, Mapping) else isinstance(thing, (task.datamodule, task.model)):
            return task
    return None


def task_of(thing: LightningDataModule | LightningModule | Mapping[str, Any]) -> Task:
    """Return the task of a data module, of a model, or of a checkpoint by its hyper-parameters.

    Raises:
        ConfigError: it is of none of our tasks.
    """
    task = find_task(thing)
    if task is not None:
        return task
    what = "The checkpoint" if isinstance(thing, Mapping) else type(thing).__name__
    known = ", ".join(f"{task.name} ({task.datamodule.__name__}, {task.model.__name__})" for task in TASKS)
    raise ConfigError(f"{what} is of none of the tasks that are known here: {known}.")


def task_of_both(model: LightningModule, datamodule: LightningDataModule) -> Task:
    """Return the task of a model that is to predict some data.

    Raises:
        ConfigError: it is of none of our tasks, or the data is of another.
    """
    task = task_of(model)
    if task_of(datamodule).names_key != task.names_key:
        raise ConfigError(f"A {type(model).__name__} does not predict what a {type(datamodule).__name__} has.")
    return task


def names_keys() -> list[str]:
    """Return each hyper-parameter that holds the names of some task's outputs."""
    return list(dict.fromkeys(task.names_key for task in TASKS))
