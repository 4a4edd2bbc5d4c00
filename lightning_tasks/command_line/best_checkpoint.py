"""Which checkpoint is the best, and what it is called."""

import pydoc

from jsonargparse import Namespace

from lightning_tasks.models.base import ImageModel

MODELS_OWN = "auto"  # which score tells it: the model says it, see `ImageModel`


def choose_checkpoints(config: Namespace) -> None:
    """Let the model say which checkpoint is the best, unless the user does; and give each a name of its own.

    Args:
        config: of a verb; changed in place.
    """
    checkpoint = config.get("checkpoint")
    if not checkpoint:
        return
    found = pydoc.locate(str(config.model.class_path)) if config.get("model") else None
    model = found if isinstance(found, type) and issubclass(found, ImageModel) else None
    if checkpoint.monitor == MODELS_OWN:
        checkpoint.monitor = model.monitor if model else None
    if checkpoint.mode == MODELS_OWN:
        checkpoint.mode = model.mode_of(checkpoint.monitor) if model and checkpoint.monitor else "min"
    if checkpoint.save_top_k not in (0, 1) and "{" not in str(checkpoint.filename):
        checkpoint.filename = f"{checkpoint.filename}-{{epoch}}"  # or they would write over each other
    if checkpoint.dirpath:
        checkpoint.enable_version_counter = True  # another run's may lie there
