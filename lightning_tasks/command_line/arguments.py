"""The words of a command line: which are options, and which of all that they set are paths.

`~` and `$NAME` in paths are expanded. Data modules and models see to their own: a checkpoint keeps what the user wrote,
which means something on another machine too.
"""

from collections.abc import Mapping
from glob import glob
from typing import Any

from jsonargparse import Namespace

from lightning_tasks.config_files import config_layers
from lightning_tasks.filesystem import expand_path

_FLAGS = ("-h", "--help", "--print_config")
_OF_VERBS = {"annotate", "checkpoint", "ckpt_path", "csv", "curve", "data_root", "ensemble", "fix", "images", "other",
             "output",
              "path", "runs_dir", "table"}  # fmt: skip
_OF_PATTERNS = {"paths", "images"}
_OF_LISTS = {*_OF_PATTERNS, "ensemble"}
_OF_CLASSES = {"default_root_dir", "dirpath", "log_dir", "root_dir", "save_dir"}  # Lightning's loggers and callbacks
_CONFIG = ("--config", "-c")
_ALONE = {"--ci": "0.95"}  # options that may stand without a number, and what each means then


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


def with_implied_numbers(args: list[str]) -> list[str]:
    """Return a command line in which the options that may stand alone, such as `--ci`, have their number."""
    done = []
    for word, following in zip(args, [*args[1:], ""], strict=True):
        stands_alone = word in _ALONE and not (_is_number(following) or following in ("null", "None"))
        done.append(f"{word}={_ALONE[word]}" if stands_alone else word)
    return done


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def with_expanded_paths(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a verb's settings with its paths expanded, and those of its loggers, callbacks and profilers.

    Raises:
        ConfigError: a variable is not set.
    """
    return {name: _expand(name, value) for name, value in settings.items()}


def with_config_files(args: list[str]) -> list[str]:
    """Return a command line in which each config is a file or text, and those come before it that it is laid over.

    Raises:
        ConfigError: there is no such config, or a variable is not set; see `config_layers`.
    """
    done: list[str] = []
    left = list(args)
    while left:
        word = left.pop(0)
        option, equals, value = word.partition("=")
        if option in _CONFIG and equals:
            pass
        elif word in _CONFIG and left:
            value = left.pop(0)
        elif word.startswith("-c") and word != "-c":
            value = word.removeprefix("-c")
        else:
            done.append(word)
            continue
        done += [part for layer in config_layers(value) for part in ("--config", layer)]
    return done


def _expand(name: str, value: Any) -> Any:  # noqa: ANN401 - whatever a setting holds
    if isinstance(value, list):
        return [_expand(name if name in _OF_LISTS else "", item) for item in value]
    if name in _OF_PATTERNS:
        return value if not value or glob(value) else expand_path(value)  # noqa: PTH207 - absolute ones too
    if isinstance(value, str) and name in _OF_VERBS | _OF_CLASSES:
        return expand_path(value)
    if isinstance(value, Namespace) and name not in ("data", "model"):
        done = value.clone()
        vars(done).update(with_expanded_paths(vars(value)))
        return done
    return value
