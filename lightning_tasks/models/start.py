"""A new model starts from a file of weights: what it takes of the head behind the body, and what is said of both."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from pytorch_lightning.utilities import rank_zero_only

from lightning_tasks.models.head_rows import KnownOutputs, load_known
from lightning_tasks.models.weights import is_own
from lightning_tasks.models.weights_file import WeightsFile

if TYPE_CHECKING:
    from lightning_tasks.models.base import ImageModel


def start_from(file: WeightsFile, model: "ImageModel") -> None:
    """Load what a file has of a model's head, whose body it is in already, and say what was taken of the file."""
    told = getattr(model.backbone, "told", "")
    if is_own(file):
        told += f"; {_take_head(file, model)}"
    if told:
        rank_zero_only(print)(f"weights          {told}")


def difference(model: "ImageModel", setting: str, settings: Mapping[str, Any]) -> str | None:
    """Return how one of a checkpoint's hyper-parameters differs from the model's; None: it does not."""
    wanted = model.hparams.get(setting)
    found = settings.get(setting, model.settings_before.get(setting, wanted))
    # A tuple may have become a list on its way through a file.
    found, wanted = (list(value) if isinstance(value, tuple) else value for value in (found, wanted))
    return None if found == wanted else f"its {setting} is {found!r}, this model's {wanted!r}"


def _take_head(file: WeightsFile, model: "ImageModel") -> str:
    names, stored = getattr(model, model.names_key), file.settings.get(model.names_key)
    if isinstance(stored, str):  # as an export's metadata have them
        return f"not its head: {file.path.stem}.json, in which export wrote its settings, is not beside it"
    if not isinstance(stored, list) or not all(isinstance(name, str) for name in stored):
        return f"not its head: the file names no {model.names_noun}"
    known = KnownOutputs(names, stored)
    why = model.head_difference(file.settings) or load_known(model.head, file.part("head."), known)
    if why is not None:
        return f"not its head: {why}"
    rows = known.rows()
    with torch.no_grad():
        model.on_head_taken([index in rows for index in range(len(names))])
    return f"head: {known.tell(model.names_noun)}"
