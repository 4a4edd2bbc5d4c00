"""From a backbone's name to what timm builds it from: timm's own names, the Hugging Face hub's, a folder's."""

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import timm
from timm.models import load_model_config_from_hf
from timm.models._hub import load_model_config_from_path
from torch import nn

from lightning_tasks.errors import BackboneError, what_is_wrong
from lightning_tasks.filesystem import expand_path

_HUB, _FOLDER = "hf-hub", "local-dir"  # timm's words
_SOURCES = {"hf-hub": _HUB, "hf_hub": _HUB, "local-dir": _FOLDER}


class Architecture(NamedTuple):
    """What timm builds a backbone from."""

    name: str  # timm's, with the tag of its weights if it has one
    config: dict[str, Any] | None = None  # a hub's or folder's: where weights are, how images are normalised for them
    arguments: Mapping[str, Any] = {}  # likewise, of the network
    from_timm: bool = True  # the name says it all; else a hub or a folder did, which a checkpoint must not depend on
    says_nothing: bool = False  # it is not known how images are normalised: a checkpoint must tell

    def build(self, **options: Any) -> nn.Module:  # noqa: ANN401 - the network's own
        """Return the network without a classifier; what `build` raises is timm's."""
        arguments = {**self.arguments, **options, "num_classes": 0}
        body: nn.Module = timm.create_model(self.name, pretrained_cfg=self.config, **arguments)
        return body

    @property
    def has_weights(self) -> bool:
        """Whether it is known where there are pretrained ones."""
        config = timm.get_pretrained_cfg(self.name)
        return self.config is not None or (config is not None and bool(config.has_weights))

    @property
    def to_store(self) -> dict[str, Any] | None:
        """What a checkpoint keeps, to be loaded without the hub or folder; None: the backbone's name is enough."""
        return None if self.from_timm else {"name": self.name, "arguments": dict(self.arguments)}


def find_architecture(name: str, stored: Mapping[str, Any] | None, weights_follow: bool) -> Architecture:
    """Return what a backbone is built from: `NAME`, `timm/NAME`, `hf-hub:USER/NAME[@REVISION]`, `local-dir:FOLDER`.

    `stored` is what a checkpoint keeps of it, if it does. Where its `weights_follow`, neither hub nor folder nor a tag
    that timm knows no more is needed.

    Raises:
        BackboneError: there is no such backbone, or the hub cannot be reached.
    """
    source, _, place = name.partition(":")
    if stored is not None and weights_follow:
        return Architecture(stored["name"], None, stored["arguments"], from_timm=False, says_nothing=True)
    if source != name and source in _SOURCES:
        return _elsewhere(name, _SOURCES[source], place)
    own = name.removeprefix("timm/")  # the hub's user under whose name timm's own weights are
    base, _, tag = own.partition(".")
    if own != name and not (timm.is_model(base) and (weights_follow or tag in _tags(base))):
        return _elsewhere(name, _HUB, name)
    name = own
    if not timm.is_model(base):
        close = difflib.get_close_matches(base, timm.list_models(), n=3)
        hint = f" Did you mean {', '.join(close)}?" if close else ""
        if "/" in name or ":" in name:
            hint = " One of the Hugging Face hub is written hf-hub:USER/NAME, one in a folder local-dir:FOLDER."
        raise BackboneError(f"timm has no backbone {name!r}.{hint} timm.list_models('*name*') lists what there is.")
    tags = _tags(base)
    if not tag or tag in tags:
        return Architecture(name)
    if weights_follow:
        return Architecture(base, says_nothing=True)
    known = f"its tags are {', '.join(tags)}" if tags else "it has no pretrained weights"
    raise BackboneError(f"timm's {base} has no weights tagged {tag!r}: {known}.")


def _tags(base: str) -> list[str]:
    return [entry.partition(".")[2] for entry in timm.list_pretrained(f"{base}.*")]


def _elsewhere(name: str, source: str, place: str) -> Architecture:
    """Read a config.json as timm writes it beside weights."""
    try:
        if source == _HUB:
            config, architecture, arguments = load_model_config_from_hf(place)
        else:
            config, architecture, arguments = load_model_config_from_path(Path(expand_path(place)))
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise BackboneError(
            f"{name!r} is no backbone of timm's: its config.json names no `architecture`, or is no JSON "
            f"({what_is_wrong(error)})."
        ) from error
    except Exception as error:  # the network's errors differ with the HTTP library below the hub's client
        raise BackboneError(f"The backbone {name!r} cannot be had: {why_not_had(error, name)}") from error
    if not timm.is_model(architecture):
        raise BackboneError(
            f"{name!r} is of an architecture {architecture!r}, which timm {timm.__version__} does not have. Install a "
            "newer timm, or choose another backbone."
        )
    channels = (config.get("input_size") or (3,))[0]
    if channels != 3:
        raise BackboneError(f"{name!r} takes images of {channels} channels; ours have 3. Choose another backbone.")
    return Architecture(architecture, config, arguments or {}, from_timm=False)


def why_not_had(error: Exception, name: str) -> str:
    """Return what is wrong between us and the hub or folder, and what to do; by the classes of the hub's client."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    log_in = "log in (`hf auth login`, or the environment's HF_TOKEN)"
    if "GatedRepoError" in kinds or status == 403:
        return f"its owner grants access to it: ask for it on the hub's page of it, and {log_in}."
    if "RepositoryNotFoundError" in kinds or status == 401:
        return f"the hub has none of this name, or it is private. Look at the spelling; for a private one, {log_in}."
    if "RevisionNotFoundError" in kinds:
        return f"the hub has no revision {name.rpartition('@')[2]!r} of it."
    if "RemoteEntryNotFoundError" in kinds:
        return f"it lacks a file that timm's have: {getattr(response, 'url', what_is_wrong(error))}."
    if "LocalEntryNotFoundError" in kinds:
        return f"{what_is_wrong(error)} One that was fetched elsewhere is named by its folder, local-dir:FOLDER."
    if "HFValidationError" in kinds or isinstance(error, AssertionError):
        return f"{what_is_wrong(error)} A name of the hub is USER/NAME, with @REVISION behind it if need be."
    return what_is_wrong(error)
