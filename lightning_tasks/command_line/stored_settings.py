"""What a checkpoint says of its run, as arguments of the command line."""

import argparse
from pathlib import Path
from typing import Any

from lightning_tasks import yaml_text
from lightning_tasks.checkpoint import read_checkpoint
from lightning_tasks.command_line.arguments import words_and_options
from lightning_tasks.errors import CheckpointError
from lightning_tasks.filesystem import expand_path
from lightning_tasks.tasks.registry import names_keys


def with_checkpoint_settings(args: list[str]) -> list[str]:
    """Let a verb that needs a checkpoint run from it alone. Its settings come first: the command line beats them.

    `validate best.ckpt` is `validate --ckpt_path best.ckpt`, with options before it or behind.

    Raises:
        CheckpointError: it cannot be read, or does not say how to make model and data.
    """
    verb, (words, options) = args[0], words_and_options(args[1:])
    options = [*(["--ckpt_path", *words] if words else []), *options]
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--ckpt_path")
    parser.add_argument("--config", "-c")
    found = parser.parse_known_args(options)[0]
    if found.ckpt_path is None:
        return [verb, *options]
    path = Path(expand_path(found.ckpt_path))
    checkpoint = read_checkpoint(path)
    try:
        config = settings(checkpoint, path)
    except CheckpointError:
        if found.config is None:
            raise
        return [verb, *options]  # the user's own config says it all
    return [verb, "--config", yaml_text.dump_in_one_line(config), *options]


def settings(checkpoint: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return the `model` and `data` sections of a config that describes the checkpoint.

    Raises:
        CheckpointError: it was not written by the command line, so it does not say how to make model and data.
    """
    linked = {"model": (*names_keys(), "image_size"), "data": ("seed",)}  # filled in from other settings
    sections = {}
    for section, key in (("model", "hyper_parameters"), ("data", "datamodule_hyper_parameters")):
        stored = checkpoint.get(key, {})
        values = dict(stored) if isinstance(stored, dict) else {}
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
