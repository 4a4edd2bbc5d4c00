"""A file of weights: timm's, a trainer's own, one of our checkpoints, or what `export` made of one."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lightning_tasks.errors import TORCH_FILE_ERRORS, BackboneError, what_is_wrong
from lightning_tasks.filesystem import expand_path, is_file, is_folder, why_missing

State = dict[str, Tensor]

_UNREADABLE: tuple[type[Exception], ...] = (SafetensorError, *TORCH_FILE_ERRORS)
_AVERAGED = ("state_dict_ema", "model_ema", "ema_state_dict", "ema")  # what trainers call averaged weights


class WeightsFile(NamedTuple):
    """What a file of weights holds."""

    path: Path
    state: State  # tensors by name; averaged ones where there are some
    settings: Mapping[str, Any]  # hyper-parameters of the model that they are of, where the file has them

    def part(self, prefix: str) -> State:
        """Return the tensors whose names begin so, by what follows."""
        return {key.removeprefix(prefix): value for key, value in self.state.items() if key.startswith(prefix)}


def weights_for(weights: str, backbone: str) -> str:
    """Return the file of a backbone's weights: the one that is named, or of a folder the one called after it.

    Raises:
        BackboneError: there is none in the folder.
    """
    folder = Path(expand_path(weights))
    if not is_folder(folder):
        return weights
    bare = backbone.removeprefix("timm/")
    names = [f"{name}{suffix}" for name in (bare, bare.partition(".")[0]) for suffix in (".safetensors", ".pth")]
    found = next((folder / name for name in names if is_file(folder / name)), None)
    if found is None:
        raise BackboneError(
            f"There is no {names[0]} in the folder {folder} (model.weights). Name a file, or put it there."
        )
    return str(found)


def read_weights(weights: str) -> WeightsFile:
    """Return what a .safetensors file holds, or what torch.save wrote of tensors and plain values.

    Raises:
        BackboneError: there is no such file, or it cannot be read.
    """
    path = Path(expand_path(weights))
    if not is_file(path):
        raise BackboneError(f"There is no weights file {path}{why_missing(path)} (model.weights).")
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dictionary
                return WeightsFile(path, state, _exported_settings(file.metadata() or {}, path))
        content = torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        raise BackboneError(
            f"{path} cannot be read as weights ({what_is_wrong(error)}). It must be a .safetensors file, or a .pth "
            "file of tensors alone, as torch.save(model.state_dict(), FILE) writes it."
        ) from error
    state = _state_in(content) if isinstance(content, Mapping) else {}
    if not state:
        raise BackboneError(
            f"{path} cannot be read as weights (there are no tensors by name in it). Take another file."
        )
    settings = content.get("hyper_parameters", {})
    return WeightsFile(path, state, settings if isinstance(settings, Mapping) else {})


def _exported_settings(metadata: Mapping[str, str], path: Path) -> Mapping[str, Any]:
    """Return the hyper-parameters that `export` wrote into a JSON file beside; without it, all that the file says."""
    try:
        beside = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        settings = beside["hyper_parameters"] if beside["metadata"] == metadata else metadata
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return metadata
    return settings if isinstance(settings, Mapping) else metadata


def _state_in(content: Mapping[Any, Any]) -> State:
    """Return the tensors of a file, or of the dictionary in it that has the most."""
    own = {key: value for key, value in content.items() if isinstance(key, str) and isinstance(value, Tensor)}
    within = {key: _state_in(value) for key, value in content.items() if isinstance(value, Mapping)}
    for key in _AVERAGED:
        if within.get(key):
            return within[key]
    # Of two as large, a checkpoint's own before copies of it.
    return max([own, within.pop("state_dict", {}), within.pop("model", {}), *within.values()], key=len)
