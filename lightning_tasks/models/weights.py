"""A body's weights from a file: of timm's, of a trainer's own, of one of our checkpoints or exports."""

import itertools
import sys
from collections import Counter
from typing import Any, NamedTuple

from torch import Tensor, nn

from lightning_tasks.errors import BackboneError, what_is_wrong
from lightning_tasks.models.names import first_of
from lightning_tasks.models.weights_file import State, WeightsFile

_DOES_NOT_FIT = (RuntimeError, KeyError, AttributeError, AssertionError)  # what torch and timm raise
_BODY = "backbone.body."  # where our models have it; beside it lie mean and std
_LAYERS = ("head", "max_stride")  # settings by which a model has some of a body's layers alone


class Loaded(NamedTuple):
    """What was loaded into a body."""

    normalisation: tuple[Tensor, Tensor] | None  # mean and standard deviation (1, 3, 1, 1) of images from 0 to 255
    told: str  # what a user should know of it; nothing where the file has a body alone


def load_weights(body: nn.Module, name: str, file: WeightsFile, needed: set[str]) -> Loaded:
    """Load a file into a body. A classifier's weights may be in it; nothing that is needed may be missing.

    The names in the file may have something in front of them, as those of a model around the body have.

    Raises:
        BackboneError: it does not fit.
    """
    refusals: list[str] = []
    for fitting in _prefixes(file.state, needed):
        refusal = _load(body, file.state, fitting, needed)
        if refusal is None:
            break
        refusals.append(refusal)
    else:
        raise BackboneError(f"{file.path} does not fit {name!r}: {refusals[0]}. {_way_out(file, name)}")
    found = [file.state.get(f"{fitting.removesuffix('body.')}{part}") for part in ("mean", "std")]
    if fitting.endswith(_BODY) and all(part is not None and part.shape == (1, 3, 1, 1) for part in found):
        mean, std = (part.float() for part in found)  # type: ignore[union-attr]  # neither is None
        return Loaded((mean, std), _told(file, fitting))
    return Loaded(None, _told(file, fitting))


def is_own(file: WeightsFile) -> bool:
    """Return whether a file is of one of our models: a checkpoint's or an export's."""
    return bool(file.settings) and any(key.startswith(_BODY) for key in file.state)


def describes(file: WeightsFile, name: str) -> bool:
    """Return whether a file is of a model of ours with this backbone: no hub need be asked how to build it."""
    whole = all(f"backbone.{part}" in file.state for part in ("mean", "std"))
    return is_own(file) and whole and file.settings.get("backbone") == name


def _told(file: WeightsFile, prefix: str) -> str:
    if not prefix:
        return ""
    if prefix == _BODY and is_own(file):
        return f"body of {file.path}"
    taken = sum(key.startswith(prefix) for key in file.state)
    left_out = sorted({f"{key.partition('.')[0]}.*" for key in file.state if not key.startswith(prefix)})
    without = f"; not {first_of(left_out, 4)}" if left_out else ""
    return f"{taken} tensors of {prefix}* in {file.path}{without}"


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
        return mismatch(error)
    missing = [key for key in result.missing_keys if key in needed]
    unexpected = [key for key in result.unexpected_keys if not key.startswith(classifiers)]
    if not missing and not unexpected:
        return None
    return (
        f"{len(missing)} parameters are missing ({first_of(missing, 3)}) and {len(unexpected)} are unknown "
        f"({first_of(unexpected, 3)})"
    )


def _way_out(file: WeightsFile, name: str) -> str:
    made_for, head = (file.settings.get(key) for key in ("backbone", "head"))
    if made_for is None or (made_for == name and head is None):
        return "Name the backbone it was made for."
    if made_for == name:
        options = " ".join(f"--model.{key} {file.settings[key]}" for key in _LAYERS if file.settings.get(key))
        return f"It is of this backbone under a head {head!r}, which needs fewer of its layers: give {options}"
    return f"It was made for --model.backbone {made_for}"


def mismatch(error: Exception) -> str:
    """Return the first of torch's lines that names a parameter; its first line names a class alone."""
    lines = [line.strip() for line in str(error).splitlines()]
    return next((line.rstrip(".") for line in lines[1:] if line), what_is_wrong(error))
