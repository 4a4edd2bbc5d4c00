"""What a checkpoint says of its run, as arguments of the command line."""

import argparse
from pathlib import Path
from typing import Any

from lightning_tasks import yaml_text
from lightning_tasks.checkpoint import read_checkpoint, settings
from lightning_tasks.command_line.arguments import words_and_options
from lightning_tasks.errors import CheckpointError
from lightning_tasks.filesystem import expanded


def with_checkpoint_settings(args: list[str]) -> list[str]:
    """Let a verb that needs a checkpoint run from it alone. Its settings come first: the command line beats them.

    `validate best.ckpt` is `validate --ckpt_path best.ckpt`, with options before it or behind.

    Args:
        args: of the command line, the verb first.

    Raises:
        CheckpointError: it cannot be read, or does not say how to make model and data.
    """
    words, options = words_and_options(args[1:])
    args = [args[0], *(["--ckpt_path", *words] if words else []), *options]
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--ckpt_path")
    parser.add_argument("--config", "-c")
    found = parser.parse_known_args(args)[0]
    if found.ckpt_path is None:
        return args
    path = Path(expanded(found.ckpt_path))
    checkpoint = read_checkpoint(path)
    try:
        config = settings(checkpoint, path)
    except CheckpointError:
        if found.config is None:
            raise
        return args  # the user's own config says it all
    return [args[0], "--config", as_config(config), *args[1:]]


def as_config(settings: dict[str, Any]) -> str:
    """Return settings as a text for `--config`."""
    return yaml_text.dump_in_one_line(settings)
