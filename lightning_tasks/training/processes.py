"""The processes of a training."""

from typing import TypeVar

import torch
from pytorch_lightning import Trainer

_T = TypeVar("_T")


def is_watched(trainer: Trainer) -> bool:
    """Return whether Lightning started this process, and kills all of them, the first too, should it fail."""
    environment = trainer._accelerator_connector.cluster_environment
    return trainer.local_rank > 0 and not environment.creates_processes_externally


def of_all_processes(mine: _T) -> list[_T]:
    """Return what each process has given, in the order of their ranks; to be called on every one."""
    if not torch.distributed.is_initialized():
        return [mine]
    everyones = [mine] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(everyones, mine)
    return everyones
