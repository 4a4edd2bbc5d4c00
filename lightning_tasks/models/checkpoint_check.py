"""Does a checkpoint belong to the model and the data at hand?"""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Self

from pytorch_lightning import LightningModule

from lightning_tasks.errors import CheckpointError
from lightning_tasks.models.backbone import weights_follow


class FromCheckpoint(LightningModule):
    """A LightningModule that is loaded from a checkpoint whatever became of the name that its first weights had."""

    @classmethod
    def load_from_checkpoint(cls, *args: Any, **kwargs: Any) -> Self:  # noqa: ANN401 - Lightning's own
        """Do as Lightning's; see `weights_follow`."""
        with weights_follow():
            return super().load_from_checkpoint(*args, **kwargs)


def refuse_other_checkpoint(
    checkpoint: Mapping[str, Any], key: str, names: Sequence[str], hparams: Mapping[str, Any]
) -> None:
    """Raise CheckpointError unless the checkpoint has the same names, in the same order, and is of the same network.

    With as many other labels the weights would load, and every prediction would carry the wrong name.

    Args:
        checkpoint: what Lightning loaded.
        key: the hyper-parameter that holds the names: `vocab` or `point_names`.
        names: those of the data.
        hparams: the model's hyper-parameters.
    """
    theirs = checkpoint.get("hyper_parameters", {})
    # What a checkpoint does not say is what it was before there was a choice.
    before = {"head": {"vocab": "fastai", "point_names": "regression"}[key], "max_stride": 16}
    for setting in ("backbone", "head", "max_stride"):
        ours = hparams.get(setting)
        found = theirs.get(setting, before.get(setting, ours))
        if ours is not None and found != ours:
            raise CheckpointError(
                f"The checkpoint's {setting} is {found!r}, the model's {ours!r}. Give the config that it was trained "
                f"with, or --model.{setting} {found}"
            )
    stored = theirs.get(key)
    if stored is not None and composed(stored) != composed(names):
        what = {"vocab": "labels", "point_names": "points"}[key]
        raise CheckpointError(
            f"The checkpoint knows {len(stored)} {what} ({_listed(stored)}), the data has {len(names)} "
            f"({_listed(names)}). Use the data that it was trained on, or a table with the same names."
        )


def composed(names: Sequence[str]) -> list[str]:
    """Return names such that what looks alike is alike; a checkpoint may have them as an older version read them."""
    return [unicodedata.normalize("NFC", name) for name in names]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
