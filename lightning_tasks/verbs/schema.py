"""A JSON schema of configs, by which editors complete them and mark what is wrong."""

import inspect
import json
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from jsonargparse import ArgumentParser
from pytorch_lightning import Callback, LightningDataModule, LightningModule, Trainer, callbacks, loggers, profilers
from pytorch_lightning.cli import LightningArgumentParser
from pytorch_lightning.loggers import Logger
from pytorch_lightning.profilers import Profiler

from lightning_tasks import callbacks as our_callbacks
from lightning_tasks import tasks
from lightning_tasks.atomic_write import write_whole
from lightning_tasks.errors import ConfigError
from lightning_tasks.filesystem import is_file
from lightning_tasks.run_options import add_run_options, add_seed
from lightning_tasks.tasks.registry import names_keys

SCHEMA_FILE = ".lightning_tasks.schema.json"  # beside configs of `init`; hidden, so that none takes it for annotations
_DRAFT = "http://json-schema.org/draft-07/schema#"  # the newest one that all editors know
_TITLE = "A config of lightning_tasks"
_OF_FIT = {"model", "train_dataloaders", "val_dataloaders", "datamodule"}  # its parameters that no config sets
# What Python alone sets, of types with hundreds of subclasses: a config may say null.
_OF_PYTHON = {"train_transform", "valid_transform", "parameters_to_prune"}
_LISTS = ("callbacks", "logger", "plugins")  # of the Trainer's: `callbacks+` appends to another config's
_PACKAGES = ("lightning_tasks", "pytorch_lightning")  # all their classes are known

Schema = dict[str, Any]


def schema(output: str) -> None:
    """Write a JSON schema of configs, by which editors complete them and mark what is wrong.

    A config whose first line is `# yaml-language-server: $schema=FILE` is completed by VS Code's YAML extension, and by
    all that have a YAML language server. FILE is seen from the config's folder.

    Args:
        output: the file that is written.

    Raises:
        ConfigError: another file is there.
    """
    write_schema(Path(output))
    print(f"schema           {output}")
    print(f"  {schema_line(output)}    as the first line of a config")


def schema_line(file: str) -> str:
    """Return the first line of a config, by which editors find the schema; `file` is seen from the config's folder."""
    return f"# yaml-language-server: $schema={file}"


def write_schema(path: Path) -> None:
    """Write the schema, over an older one too.

    Raises:
        ConfigError: what is there is no schema of ours.
    """
    if is_file(path) and not _is_ours(path):
        raise ConfigError(f"{path} is there already, and is no schema of configs. Name another file, or remove it.")
    write_whole(path, lambda new: new.write_text(_text(), encoding="utf-8"))


def _is_ours(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return _TITLE.encode() in file.read(300)
    except OSError:
        return False


@cache
def _text() -> str:
    return json.dumps(config_schema(), indent=1, ensure_ascii=False) + "\n"


def config_schema() -> Schema:
    """Return the schema of configs of all verbs: of whole ones, of overlays, and of a run's config.yaml."""
    kinds = {
        "model": _public(LightningModule, tasks),
        "data": _public(LightningDataModule, tasks),
        "callback": _public(Callback, our_callbacks, callbacks),
        "logger": _public(Logger, loggers),
        "profiler": _public(Profiler, profilers),
    }
    elsewhere = {"model": {*names_keys(), "image_size"}, "data": {"seed"}}  # the data and `seed_everything` say it
    definitions = {
        kind.__name__: _arguments(kind, elsewhere.get(name, set())) for name in kinds for kind in kinds[name]
    }
    definitions |= {name: _one_of(classes) for name, classes in kinds.items()}
    parser = LightningArgumentParser(description=_TITLE)
    add_seed(parser)
    parser.add_class_arguments(Trainer, "trainer", skip={"callbacks"})
    add_run_options(parser)
    parser.add_method_arguments(Trainer, "fit", skip=_OF_FIT)
    described = _described(parser)
    trainer = described["properties"]["trainer"]["properties"]
    trainer["callbacks"] = _and_lists("callback", "null")
    trainer["logger"] |= _and_lists("logger", "null", "boolean")
    trainer["profiler"] |= {"anyOf": [{"type": ["null", "string"]}, _reference("profiler")]}
    trainer |= {f"{name}+": trainer[name] for name in _LISTS}
    described["properties"] |= {name: _reference(name) for name in ("model", "data")}
    described["properties"]["config"] = {"type": "string", "description": "the config that this one is laid over"}
    return {"$schema": _DRAFT, **described, "definitions": definitions}


def _public(base: type, *modules: ModuleType) -> list[type]:
    """Return the classes of a kind that modules make public."""
    found = [getattr(module, name) for module in modules for name in module.__all__]
    return [kind for kind in found if issubclass(kind, base) and kind is not base and not inspect.isabstract(kind)]


def _arguments(kind: type, left_out: set[str]) -> Schema:
    """Return the schema of a class's `init_args`."""
    undescribed = _OF_PYTHON.intersection(ArgumentParser().add_class_arguments(kind))
    parser = ArgumentParser(description=(inspect.getdoc(kind) or kind.__name__).partition("\n")[0])
    parser.add_class_arguments(kind, skip=left_out | undescribed)
    try:
        described = _described(parser)
    except TypeError:  # jsonargparse 4.53 fails where a parameter is a class of classes
        return {"type": "object"}
    described["properties"] |= {name: {} for name in sorted(undescribed)}
    return described


def _described(parser: ArgumentParser) -> Schema:
    return _portable(json.loads(parser.get_completion_script("jsonschema")))


def _portable(schema: Schema) -> Schema:
    """Return a schema of jsonargparse's (draft 2020-12) in draft 7, for settings that others may complete.

    Nothing is required, as configs are laid over each other. Objects of other libraries may be anything.
    """
    if "$ref" in schema:
        return {"type": ["string", "object"]}
    done = {name: value for name, value in schema.items() if name not in ("$schema", "$defs", "required")}
    if "properties" in done:
        done["properties"] = {name: _portable(of) for name, of in done["properties"].items() if name != "$schema"}
    if "prefixItems" in done:
        done |= {"items": [_portable(item) for item in done.pop("prefixItems")], "additionalItems": False}
    elif "items" in done:
        done["items"] = _portable(done["items"])
    if "anyOf" in done:
        done["anyOf"] = [_portable(choice) for choice in done["anyOf"]]
    return done


def _one_of(classes: list[type]) -> Schema:
    """Return the schema of what names one of these classes, with its arguments; or a class of the user's own."""
    names = [kind.__name__ for kind in classes]
    class_path = {
        "type": "string",
        "anyOf": [
            {"enum": names},
            {"pattern": rf"^({'|'.join(_PACKAGES)})\.(\w+\.)*({'|'.join(names)})$"},
            {"pattern": rf"^(?!({'|'.join(_PACKAGES)})\.)\w+(\.\w+)+$"},
        ],
    }
    of_class = [
        {
            "if": {"properties": {"class_path": {"pattern": rf"(^|\.){name}$"}}, "required": ["class_path"]},
            "then": {"properties": {"init_args": _reference(name)}},
        }
        for name in names
    ]
    of_overlay = {
        "if": {"not": {"required": ["class_path"]}},
        "then": {"properties": {"init_args": {"anyOf": [_reference(name) for name in names]}}},
    }
    arguments = {"init_args": {"type": "object"}, "dict_kwargs": {"type": "object"}}
    settings = {"type": "object", "properties": {"class_path": class_path, **arguments}, "additionalProperties": False}
    in_full = {**settings, "allOf": [*of_class, of_overlay]}
    return {"type": ["object", "string"], "if": {"type": "string"}, "then": class_path, "else": in_full}


def _and_lists(name: str, *types: str) -> Schema:
    """Return the schema of one of a kind, of a list of them, or of these types."""
    return {"anyOf": [{"type": list(types)}, _reference(name), {"type": "array", "items": _reference(name)}]}


def _reference(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}
