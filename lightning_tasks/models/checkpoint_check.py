"""Does a checkpoint belong to the model and the data at hand?"""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from lightning_tasks.errors import CheckpointError


def refuse_other_checkpoint(
    checkpoint: Mapping[str, Any],
    key: str,
    noun: str,
    names: Sequence[str],
    hparams: Mapping[str, Any],
    before: Mapping[str, Any],
) -> None:
    """Raise CheckpointError unless the checkpoint has the same names, in the same order, and is of the same network.

    With as many other labels the weights would load, and every prediction would carry the wrong name.

    Args:
        checkpoint: what Lightning loaded.
        key: the hyper-parameter that holds the names, such as `vocab`.
        noun: what they are called, such as `labels`.
        names: those of the data.
        hparams: the model's hyper-parameters.
        before: hyper-parameters that older checkpoints do not have, with what they were.
    """
    stored_settings = checkpoint.get("hyper_parameters", {})
    for setting in ("backbone", "head", "max_stride"):
        wanted = hparams.get(setting)
        found = stored_settings.get(setting, before.get(setting, wanted))
        if wanted is not None and found != wanted:
            raise CheckpointError(
                f"The checkpoint's {setting} is {found!r}, the model's {wanted!r}. Give the config that it was trained "
                f"with, or --model.{setting} {found}"
            )
    stored = stored_settings.get(key)
    if stored is not None and composed(stored) != composed(names):
        raise CheckpointError(
            f"The checkpoint knows {len(stored)} {noun} ({_first_names(stored)}), the data has {len(names)} "
            f"({_first_names(names)}). Use the data that it was trained on, or a table with the same names."
        )


def composed(names: Sequence[str]) -> list[str]:
    """Return names such that what looks alike is alike; a checkpoint may have them as an older version read them."""
    return [unicodedata.normalize("NFC", name) for name in names]


def _first_names(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
