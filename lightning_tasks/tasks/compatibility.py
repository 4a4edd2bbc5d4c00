"""Does a checkpoint belong to the model and the data at hand?"""

from collections.abc import Mapping, Sequence
from typing import Any

from lightning_tasks.errors import CheckpointError


def refuse_other_checkpoint(
    checkpoint: Mapping[str, Any], key: str, names: Sequence[str], hparams: Mapping[str, Any]
) -> None:
    """Raise CheckpointError unless the checkpoint has the same names, in the same order, the same backbone and head.

    With as many other labels the weights would load, and every prediction would carry the wrong name.

    Args:
        checkpoint: what Lightning loaded.
        key: the hyper-parameter that holds the names: `vocab` or `point_names`.
        names: those of the data.
        hparams: the model's hyper-parameters.
    """
    theirs = checkpoint.get("hyper_parameters", {})
    if "backbone" in theirs and theirs["backbone"] != hparams.get("backbone"):
        raise CheckpointError(
            f"The checkpoint's backbone is {theirs['backbone']!r}, the model's {hparams.get('backbone')!r}. Give the "
            f"config that it was trained with, or --model.backbone {theirs['backbone']}"
        )
    head = theirs.get("head", {"vocab": "fastai", "point_names": "regression"}[key])  # before there was a choice
    if head != hparams.get("head", head):
        raise CheckpointError(
            f"The checkpoint's head is a {head}, the model's a {hparams['head']}. Give the config that it was trained "
            f"with, or --model.head {head}"
        )
    stored = theirs.get(key)
    if stored is not None and list(stored) != list(names):
        what = {"vocab": "labels", "point_names": "points"}[key]
        raise CheckpointError(
            f"The checkpoint knows {len(stored)} {what} ({_listed(stored)}), the data has {len(names)} "
            f"({_listed(names)}). Use the data that it was trained on, or a table with the same names."
        )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
