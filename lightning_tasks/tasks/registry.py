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
    task = known_task_of(thing)
    if task is not None:
        return task
    what = "The checkpoint" if isinstance(thing, Mapping) else type(thing).__name__
    known = ", ".join(f"{task.name} ({task.datamodule.__name__}, {task.model.__name__})" for task in TASKS)
    raise ConfigError(f"{what} is of none of the tasks that are known here: {known}.")


def known_task_of(thing: LightningDataModule | LightningModule | Mapping[str, Any]) -> Task | None:
    """Return as `task_of`; None for a user's own class, which is of no task."""
    if isinstance(thing, Mapping):
        return next((task for task in TASKS if task.wrote(thing)), None)
    return next((task for task in TASKS if isinstance(thing, (task.datamodule, task.model))), None)


def names_keys() -> list[str]:
    """Return each hyper-parameter that holds the names of some task's outputs."""
    return list(dict.fromkeys(task.names_key for task in TASKS))
