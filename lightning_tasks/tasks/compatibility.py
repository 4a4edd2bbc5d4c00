"""Does a checkpoint belong to the data at hand?"""

from collections.abc import Mapping, Sequence
from typing import Any

from lightning_tasks.errors import CheckpointError


def refuse_other_names(checkpoint: Mapping[str, Any], key: str, names: Sequence[str]) -> None:
    """Raise CheckpointError unless the checkpoint's hyper-parameter `key` holds the same names in the same order.

    With as many other labels the weights would load, and every prediction would carry the wrong name.
    """
    stored = checkpoint.get("hyper_parameters", {}).get(key)
    if stored is None or list(stored) == list(names):
        return
    what = {"vocab": "labels", "point_names": "points"}[key]
    raise CheckpointError(
        f"The checkpoint knows {len(stored)} {what} ({_listed(stored)}), the data has {len(names)} ({_listed(names)}). "
        "Use the data that the checkpoint was trained on, or a table with the same names."
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
