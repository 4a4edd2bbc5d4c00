"""Which checkpoint is the best, and what it is called."""

import pydoc

from jsonargparse import Namespace

MODELS_OWN = "auto"  # which score tells it: the model's class attributes `monitor` and `mode` say it


def choose_checkpoints(config: Namespace) -> None:
    """Let the model say which checkpoint is the best, unless the user does; and give each a name of its own.

    Args:
        config: of a verb; changed in place.
    """
    checkpoint = config.get("checkpoint")
    if checkpoint and checkpoint.monitor == MODELS_OWN:
        model = pydoc.locate(str(config.model.class_path)) if config.get("model") else None
        checkpoint.monitor = getattr(model, "monitor", None)
        checkpoint.mode = getattr(model, "mode", checkpoint.mode)
    if checkpoint and checkpoint.save_top_k not in (0, 1) and "{" not in str(checkpoint.filename):
        checkpoint.filename = f"{checkpoint.filename}-{{epoch}}"  # or they would write over each other
    if checkpoint and checkpoint.dirpath:
        checkpoint.enable_version_counter = True  # another run's may lie there
