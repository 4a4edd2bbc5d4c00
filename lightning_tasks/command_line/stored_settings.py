"""What a checkpoint says of its run, as arguments of the command line."""

import argparse
import warnings
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from lightning_tasks import yaml_text
from lightning_tasks.checkpoint import data_settings, read_checkpoint
from lightning_tasks.command_line.arguments import words_and_options
from lightning_tasks.errors import CheckpointError, LightningTasksWarning
from lightning_tasks.filesystem import expand_path
from lightning_tasks.folds import fold_checkpoints, is_crossval
from lightning_tasks.tasks.registry import names_keys
from lightning_tasks.verbs.table import OUT_OF_FOLD, Kind, verbs_of


def with_checkpoint_settings(args: list[str]) -> list[str]:
    """Let a verb that needs a checkpoint run from it alone. Its settings come first: the command line beats them.

    `validate best.ckpt` is `validate --ckpt_path best.ckpt`, with options before it or behind.

    Raises:
        CheckpointError: it cannot be read, or does not say how to make model and data.
    """
    verb, (words, options) = args[0], words_and_options(args[1:])
    names = ("ckpt_path", *verbs_of(Kind.CHECKPOINT)[verb].words)
    named = [part for name, word in zip(names, words, strict=False) for part in (f"--{name}", word)]
    options = [*named, *words[len(names) :], *options]
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--ckpt_path")
    parser.add_argument("--config", "-c")
    found = parser.parse_known_args(options)[0]
    if found.ckpt_path is None:
        return [verb, *options]
    path = Path(expand_path(found.ckpt_path))
    if verb in OUT_OF_FOLD and is_crossval(path):
        path = fold_checkpoints(path)[0]  # all folds have the settings of the first, but for the fold
    checkpoint = read_checkpoint(path)
    try:
        config = settings(checkpoint, path)
    except CheckpointError:
        if found.config is None:
            raise
        return [verb, *options, *_split_of(checkpoint, options)]  # the user's own config says all else
    return [verb, "--config", yaml_text.dump_in_one_line(config), *options]


def _split_of(checkpoint: dict[str, Any], options: list[str]) -> list[str]:
    """Return how a checkpoint's split was drawn, as arguments, where it was not as it would be, and none says it."""
    given = any(option.startswith("--data.") and "stratify" in option for option in options)
    draws = data_settings(checkpoint).get("stratify", True)
    return [] if given or draws else ["--data.stratify", "false"]


def keep_split(checkpoint: dict[str, Any], *data: Namespace) -> None:
    """Let data that training is resumed on (sections of a config) be split as the checkpoint's were.

    Else it would be validated on what it was trained on.
    """
    stratify = data_settings(checkpoint).get("stratify")
    for section in data:
        options = section.get("init_args", {})
        if stratify is not None and options.get("stratify", stratify) != stratify:
            options.stratify = stratify
            message = f"The split stays as the checkpoint's was drawn: data.stratify {str(stratify).lower()}."
            warnings.warn(message, LightningTasksWarning, stacklevel=2)


def doubt_weights(model: Namespace, datamodule: object) -> None:
    """Warn where training starts from a checkpoint (model.weights) that has seen rows which are for validation."""
    weights = str(model.get("init_args", {}).get("weights") or "")
    ask = getattr(datamodule, "doubt_split", None)  # of a user's own: nothing
    if weights.endswith(".ckpt") and ask is not None:
        ask(read_checkpoint(Path(expand_path(weights))), weights)


def settings(checkpoint: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return the `model` and `data` sections of a config that describes the checkpoint.

    Raises:
        CheckpointError: it was not written by the command line, so it does not say how to make model and data.
    """
    linked = {"model": (*names_keys(), "image_size"), "data": ("seed",)}  # filled in from other settings
    sections = {}
    stored = checkpoint.get("hyper_parameters")
    of_model = dict(stored) if isinstance(stored, dict) else {}
    for section, values in (("model", of_model), ("data", data_settings(checkpoint))):
        class_path = values.pop("_class_path", None)
        if class_path is None:
            raise CheckpointError(
                f"{path} does not say which {section} class it needs: it was not trained by `lightning-tasks fit`. "
                "Give the config too: --config FILE."
            )
        init_args = {k: v for k, v in values.items() if k not in linked[section] and not k.startswith("_")}
        sections[section] = {"class_path": class_path, "init_args": init_args}
    for names in names_keys():
        if names in sections["data"]["init_args"] and names in checkpoint["hyper_parameters"]:
            # What the model was trained on, whatever table it is scored on.
            sections["data"]["init_args"][names] = list(checkpoint["hyper_parameters"][names])
    return sections
