"""The verbs that make no run and need no config: each is a function, whose signature is its command line."""

from importlib import import_module

import docstring_parser
from jsonargparse import ArgumentParser

from lightning_tasks import yaml_text
from lightning_tasks.command_line.arguments import with_expanded_paths, words_and_options
from lightning_tasks.errors import ConfigError
from lightning_tasks.renamed_options import with_new_names
from lightning_tasks.verbs.table import Kind, verbs_of


def run(args: list[str]) -> int:
    """Run the verb that `args` begin with, and return its exit code.

    Raises:
        LightningTasksError: a mistake of the user's.
        SystemExit: with 2, after a message, for arguments that cannot be parsed.
    """
    yaml_text.use_for_configs()
    verb = verbs_of(Kind.FUNCTION)[args[0]]
    function = getattr(import_module(f"lightning_tasks.verbs.{verb.name}"), verb.name)
    about = docstring_parser.parse(function.__doc__ or "")
    told = {argument.arg_name: argument.description for argument in about.params}
    parser = ArgumentParser(prog=f"lightning-tasks {verb.name}", description=about.short_description)
    for word in verb.words[:1]:
        parser.add_argument(word, type=str, help=told.get(word))
    for word in verb.words[1:]:
        parser.add_argument(word, nargs="+", type=str, help=told.get(word))
    parser.add_function_arguments(function, skip=set(verb.words), as_group=False)
    words, options = words_and_options(with_new_names(args)[1:])
    try:
        settings = parser.parse_args([*options, *(["--", *words] if words else [])]).as_dict()
        code: int | None = function(**with_expanded_paths(settings))
    except (MemoryError, RuntimeError) as error:
        from lightning_tasks.devices import is_out_of_memory, memory_asked_for  # torch is imported by now

        if not is_out_of_memory(error):
            raise
        way_out = "lower --batch_size, or take --device cpu" if verb.name == "predict" else "take --device cpu"
        raise ConfigError(f"The memory does not suffice{memory_asked_for(error)}: {way_out}.") from error
    return code or 0
