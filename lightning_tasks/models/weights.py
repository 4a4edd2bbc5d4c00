"""A body's weights from a file: of timm's, of a trainer's own, of one of our checkpoints or exports."""

import itertools
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pytorch_lightning.utilities import rank_zero_only
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from lightning_tasks.errors import TORCH_FILE_ERRORS, BackboneError, what_is_wrong
from lightning_tasks.filesystem import expand_path, is_file, is_folder, why_missing

State = dict[str, Tensor]

_UNREADABLE: tuple[type[Exception], ...] = (SafetensorError, *TORCH_FILE_ERRORS)  # of weights files
_DOES_NOT_FIT = (RuntimeError, KeyError, AttributeError, AssertionError)  # what torch and timm raise
_AVERAGED = ("state_dict_ema", "model_ema", "ema_state_dict", "ema")  # what trainers call averaged weights
_BODY = "backbone.body."  # where our models have it; beside it lie mean and std


class _WeightsFile(NamedTuple):
    state: State  # tensors by name; averaged ones where there are some
    backbone: str | None  # the name of the model that they are of, where the file says it
    head: str | None  # likewise of the head behind it


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
        raise BackboneError(f"There is no {names[0]} in the folder {folder} (model.weights). Name a file, or put it there.")
    return str(found)


def load_weights(body: nn.Module, name: str, path: Path, needed: set[str]) -> tuple[Tensor, Tensor] | None:
    """Load a file into a body. A classifier's weights may be in it; nothing that is needed may be missing.

    The names in the file may have something in front of them, as those of a model around the body have. It is a
    .safetensors file, or what torch.save wrote of tensors and plain values.

    Returned are mean and standard deviation (1, 3, 1, 1) of the images that the weights were trained on, on the scale
    of 0 to 255, where the file has them.

    Raises:
        BackboneError: it cannot be read, or does not fit.
    """
    file = _read(path)
    refusals: list[str] = []
    for fitting in _prefixes(file.state, needed):
        refusal = _load(body, file.state, fitting, needed)
        if refusal is None:
            break
        refusals.append(refusal)
    else:
        raise BackboneError(f"{path} does not fit {name!r}: {refusals[0]}. {_way_out(file, name)}")
    if not fitting:
        return None
    taken = sum(key.startswith(fitting) for key in file.state)
    left_out = sorted({f"{key.partition('.')[0]}.*" for key in file.state if not key.startswith(fitting)})
    without = f"; not {_first_keys(left_out, 4)}" if left_out else ""
    rank_zero_only(print)(f"weights          {taken} tensors of {fitting}* in {path}{without}")
    around = fitting.removesuffix("body.")
    found = [file.state.get(f"{around}{part}") for part in ("mean", "std")]
    if fitting.endswith(_BODY) and all(part is not None and part.shape == (1, 3, 1, 1) for part in found):
        return found[0].float(), found[1].float()  # type: ignore[union-attr]  # neither is None
    return None


def _read(path: Path) -> _WeightsFile:
    if not is_file(path):
        raise BackboneError(f"There is no weights file {path}{why_missing(path)} (model.weights).")
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dictionary
                settings = file.metadata() or {}
                return _WeightsFile(state, settings.get("backbone"), settings.get("head"))
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
    known = settings if isinstance(settings, Mapping) else {}
    return _WeightsFile(state, known.get("backbone"), known.get("head"))


def _state_in(content: Mapping[Any, Any]) -> State:
    """Return the tensors of a file, or of the dictionary in it that has the most."""
    own = {key: value for key, value in content.items() if isinstance(key, str) and isinstance(value, Tensor)}
    within = {key: _state_in(value) for key, value in content.items() if isinstance(value, Mapping)}
    for key in _AVERAGED:
        if within.get(key):
            return within[key]
    # Of two as large, a checkpoint's own before copies of it.
    return max([own, within.pop("state_dict", {}), within.pop("model", {}), *within.values()], key=len)


def _prefixes(state: State, wanted: set[str]) -> list[str]:
    """Return what may stand in front of the body's names, the likeliest first."""
    votes = Counter[str]()
    for key in state:
        parts = key.split(".")
        votes.update(
            "".join(f"{part}." for part in parts[:i]) for i in range(len(parts)) if ".".join(parts[i:]) in wanted
        )
    likely = sorted(votes, key=lambda prefix: (votes[prefix], "ema" in prefix), reverse=True)  # equal ones in order
    # Names of other code, which timm translates, may all have the same in front.
    starts = [key.split(".")[:-1] for key in state]
    common = [parts[0] for parts in itertools.takewhile(lambda parts: len(set(parts)) == 1, zip(*starts, strict=False))]
    return list(dict.fromkeys([*likely[:2], "", "".join(f"{part}." for part in common)]))


def _load(body: nn.Module, state: State, prefix: str, needed: set[str]) -> str | None:
    """Load what has the prefix; if it is not all of the body and nothing else, say what is wrong."""
    part = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    part.pop("n_averaged", None)  # of torch's AveragedModel: no parameter
    # Some families rename old checkpoints' keys or resize position embeddings; timm keeps that beside the model.
    convert = getattr(sys.modules[type(body).__module__], "checkpoint_filter_fn", None)
    config: Any = body.pretrained_cfg
    classifiers = config.get("classifier") or ()
    classifiers = (classifiers,) if isinstance(classifiers, str) else tuple(classifiers)
    try:
        result = body.load_state_dict(convert(part, body) if convert is not None else part, strict=False)
    except _DOES_NOT_FIT as error:
        return _mismatch(error)
    missing = [key for key in result.missing_keys if key in needed]
    unexpected = [key for key in result.unexpected_keys if not key.startswith(classifiers)]
    if not missing and not unexpected:
        return None
    return (
        f"{len(missing)} parameters are missing ({_first_keys(missing)}) and {len(unexpected)} are unknown "
        f"({_first_keys(unexpected)})"
    )


def _way_out(file: _WeightsFile, name: str) -> str:
    if file.backbone is None or (file.backbone == name and file.head is None):
        return "Name the backbone it was made for."
    if file.backbone == name:
        return f"It is of this backbone under a head {file.head!r}, which needs fewer of its layers: give --model.head."
    return f"It was made for --model.backbone {file.backbone}"


def _first_keys(keys: Sequence[str], n: int = 3) -> str:
    return ", ".join(keys[:n]) + (", ..." if len(keys) > n else "") if keys else "none"


def _mismatch(error: Exception) -> str:
    """Return the first of torch's lines that names a parameter; its first line names a class alone."""
    lines = [line.strip() for line in str(error).splitlines()]
    return next((line.rstrip(".") for line in lines[1:] if line), what_is_wrong(error))
