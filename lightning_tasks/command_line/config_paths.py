"""`~` and `$NAME` in what a command line and its configs call paths.

Data modules and models see to their own: a checkpoint keeps what the user wrote, which means something on another
machine too.
"""

from collections.abc import Mapping
from glob import glob
from typing import Any

from jsonargparse import Namespace

from lightning_tasks.filesystem import expand_path

_OF_VERBS = {"annotate", "checkpoint", "ckpt_path", "csv", "curve", "data_root", "fix", "images", "output", "runs_dir"}
_OF_PATTERNS = {"paths", "images"}
_OF_CLASSES = {"default_root_dir", "dirpath", "log_dir", "root_dir", "save_dir"}  # Lightning's loggers and callbacks
_CONFIG = ("--config", "-c")


def with_expanded_paths(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a verb's settings with its paths expanded, and those of its loggers, callbacks and profilers.

    Raises:
        ConfigError: a variable is not set.
    """
    return {name: _expand(name, value) for name, value in settings.items()}


def with_expanded_configs(args: list[str]) -> list[str]:
    """Return a command line with the names of its configs expanded; a config may be given as text, too."""
    done = list(args)
    for i, word in enumerate(args):
        option, equals, value = word.partition("=")
        if option in _CONFIG and equals and "\n" not in value:
            done[i] = f"{option}={expand_path(value)}"
        elif i and args[i - 1] in _CONFIG and "\n" not in word:
            done[i] = expand_path(word)
    return done


def _expand(name: str, value: Any) -> Any:  # noqa: ANN401 - whatever a setting holds
    if name in _OF_PATTERNS:
        return (
            [_expand_pattern(item) for item in value] if isinstance(value, list) else value and _expand_pattern(value)
        )
    if isinstance(value, str) and name in _OF_VERBS | _OF_CLASSES:
        return expand_path(value)
    if isinstance(value, Namespace) and name not in ("data", "model"):
        done = value.clone()
        vars(done).update(with_expanded_paths(vars(value)))
        return done
    return [_expand("", item) for item in value] if isinstance(value, list) else value


def _expand_pattern(value: str) -> str:
    return value if glob(value) else expand_path(value)  # noqa: PTH207 - absolute ones too
