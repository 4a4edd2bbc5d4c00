"""YAML that every reader reads alike: the command line's reads 1e3 as a number, PyYAML's as text.

Settings pass through YAML between the verbs: a checkpoint's, a run's config.yaml, the config that `init` writes. What
was text must come back as text, whatever it looks like.
"""

from typing import Any

import yaml
from jsonargparse import get_loader, set_dumper, set_loader

_LIKE_A_NUMBER = frozenset("0123456789+-.")  # what numbers, dates and times begin with, by any reader's rules
_NULLS = ("null", "Null", "NULL", "")  # a shell makes a folder of ~, and who quotes it means the character


class _Dumper(yaml.SafeDumper):
    """Quotes what some reader could take for something else than text; PyYAML knows what its own one would."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # Between double quotes every character that is not plain is written by its number.
    plain = text.isprintable() and text[:1] not in _LIKE_A_NUMBER
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else '"')


_Dumper.add_representer(str, _text)


def dump(value: Any) -> str:  # noqa: ANN401 - what YAML has words for
    """Return a value in YAML, a line for each of its parts."""
    return yaml.dump(value, Dumper=_Dumper, default_flow_style=False, allow_unicode=True, sort_keys=False)


def dump_in_one_line(value: Any, *, ascii: bool = True) -> str:  # noqa: ANN401 - what YAML has words for
    """Return a value in YAML, in one line; of ASCII, unless a person is to read it."""
    text = yaml.dump(
        value, Dumper=_Dumper, default_flow_style=True, width=1_000_000, sort_keys=False, allow_unicode=not ascii
    )
    return text.removesuffix("...\n").rstrip("\n")


def load(text: str) -> Any:  # noqa: ANN401 - what YAML has words for
    """Return what the command line reads in a text.

    Raises:
        yaml.YAMLError: it is no YAML.
    """
    return get_loader("yaml")(text)


def way_out(message: str) -> str:
    """Return what to do where a message of the parser's complains of text that YAML took for something else."""
    if "Expected a <class 'str'>. Got value:" not in message:
        return ""
    return (
        '\nText that looks like a number, yes, no or null needs quotes: in a config "1e3", in a list \'["1e3", cat]\'.'
    )


def use_for_configs() -> None:
    """Let the command line write its configs so, and read what is null in YAML by accident alone as text: `#`, `~`."""
    set_dumper("yaml", dump)
    read = get_loader("yaml")
    if read is not _load:
        _readers.append(read)
        set_loader("yaml", _load, (yaml.YAMLError,))


_readers: list[Any] = []


def _load(text: str) -> Any:  # noqa: ANN401 - what YAML has words for
    value = _readers[0](text)
    is_nothing = value is None or (isinstance(value, dict) and None in value)  # `?` is {null: null}
    return text if is_nothing and "\n" not in text and text.strip() not in _NULLS else value
