"""The verbs that make no run and need no config: each is a function, whose signature is its command line."""

from importlib import import_module
from typing import NamedTuple

from jsonargparse import ArgumentParser

from lightning_tasks import yaml_text
from lightning_tasks.config_paths import with_expanded_paths
from lightning_tasks.errors import ConfigError


class Command(NamedTuple):
    """Where a verb's function is, and which of its parameters stand without a name on the command line."""

    module: str
    function: str
    first: str  # one word
    rest: str | None = None  # one word or more


COMMANDS = {
    "init": Command("lightning_tasks.verbs.init", "init", "csv"),
    "predict": Command("lightning_tasks.verbs.predict", "predict", "checkpoint", "paths"),
    "export": Command("lightning_tasks.verbs.export", "export", "checkpoint"),
    "serve": Command("lightning_tasks.verbs.serve", "serve", "checkpoint"),
}


_FLAGS = ("-h", "--help", "--print_config")


def words_and_options(args: list[str]) -> tuple[list[str], list[str]]:
    """Return the words that stand for themselves, and the options with their values, wherever each stands.

    Every option has one value, as its own word or after `=`. After `--` there are words alone.
    """
    words: list[str] = []
    options: list[str] = []
    while args:
        first, *args = args
        if first == "--":
            return [*words, *args], options
        if not first.startswith("-") or first == "-":
            words.append(first)
            continue
        options.append(first)
        if args and "=" not in first and first not in _FLAGS and not args[0].startswith("--"):
            options.append(args[0])
            args = args[1:]
    return words, options


def run(args: list[str]) -> int:
    """Run the verb that `args` begin with, and return its exit code.

    Raises:
        LightningTasksError: a mistake of the user's.
        SystemExit: with 2, after a message, for arguments that cannot be parsed.
    """
    yaml_text.use_for_configs()
    command = COMMANDS[args[0]]
    function = getattr(import_module(command.module), command.function)
    parser = ArgumentParser(prog=f"lightning-tasks {args[0]}", description=(function.__doc__ or "").partition("\n")[0])
    parser.add_argument(command.first, type=str)
    if command.rest is not None:
        parser.add_argument(command.rest, nargs="+", type=str)
    named = {command.first, command.rest or command.first}
    parser.add_function_arguments(function, skip=set(named), as_group=False)
    words, options = words_and_options(args[1:])
    try:
        settings = parser.parse_args([*options, "--", *words]).as_dict()
        code: int | None = function(**with_expanded_paths(settings))
    except (MemoryError, RuntimeError) as error:
        from lightning_tasks.devices import is_out_of_memory, memory_asked_for  # torch is imported by now

        if not is_out_of_memory(error):
            raise
        way_out = "lower --batch_size, or take --device cpu" if args[0] == "predict" else "take --device cpu"
        raise ConfigError(f"The memory does not suffice{memory_asked_for(error)}: {way_out}.") from error
    return code or 0
