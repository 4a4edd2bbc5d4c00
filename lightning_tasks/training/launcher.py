"""The processes of a training."""

from pytorch_lightning import Trainer


def is_watched(trainer: Trainer) -> bool:
    """Return whether Lightning started this process, and kills all of them, the first too, should it fail."""
    environment = trainer._accelerator_connector.cluster_environment
    return trainer.local_rank > 0 and not environment.creates_processes_externally
