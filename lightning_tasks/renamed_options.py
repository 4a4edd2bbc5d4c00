"""Options that have another name now, or are new: what a checkpoint of before means.

The old names are read for one more release, with a line that says so.

Configs, checkpoints and the command line are all brought into the form of a config, of which the sections `data` and
`model` have `class_path` and `init_args`, and are renamed there.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from lightning_tasks.errors import LightningTasksWarning
from lightning_tasks.yaml_text import dump_in_one_line, load


def _half(flip: Any) -> Any:  # noqa: ANN401 - whatever was given
    return 0.5 * flip if isinstance(flip, bool) else flip


# (section: `data`, `model` or a verb; old; new; what makes the new option's value of the old one's)
RENAMED: tuple[tuple[str, str, str, Callable[[Any], Any]], ...] = (
    ("data", "flip", "flip_p", _half),
    ("data", "max_bad_share", "max_bad_fraction", lambda value: value),
    ("export", "pictures", "images", lambda value: value),
)
# A class of which a value of an option has become another class, which has not some of its options.
_DIVIDED, _OPTION, _VALUE = "MultiLabelClassifier", "loss", "cross_entropy"
_NEW_CLASSES = {_DIVIDED: "MultiClassClassifier", "MultiLabelDataModule": "MultiClassDataModule"}
_WITHOUT = ("threshold", "asymmetric_gamma", "asymmetric_clip")
# Of data that are split: options that came later, with what was done before.
ADDED: dict[str, Any] = {"stratify": False}
_SPLIT = "split_seed"  # which such data have always had
_IN_CHECKPOINTS = {"model": "hyper_parameters", "data": "datamodule_hyper_parameters"}
_told: set[str] = set()


class Source(NamedTuple):
    """Settings, and where they stand."""

    where: str
    settings: dict[str, Any]  # by section

    def section(self, name: str) -> dict[str, Any]:
        """Return a section; an empty one where there is none."""
        found = self.settings.get(name)
        return found if isinstance(found, dict) else {}

    def options(self, name: str) -> dict[str, Any]:
        """Return the options of a section, which may stand in `init_args` or in the section itself."""
        found = self.section(name).get("init_args", self.section(name))
        return found if isinstance(found, dict) else {}


def rename(sources: Sequence[Source]) -> None:
    """Give the settings of one run their new names, and warn of each old one. A later source beats an earlier one."""
    _divide(sources)
    for source in sources:
        for section, old, new, value in RENAMED:
            options = source.options(section)
            if old in options:
                items = [(name, given) for name, given in options.items() if name != old or new not in options]
                options.clear()  # the new one takes its place; one that is there is kept as it is
                options.update((new, value(given)) if name == old else (name, given) for name, given in items)
                _tell(f"{source.where}: {section}.{old} is now {section}.{new}")


def _divide(sources: Sequence[Source]) -> None:
    setting = [source for source in sources if _OPTION in source.options("model")]
    classes = [name for source in sources if (name := source.section("model").get("class_path")) is not None]
    if not setting or setting[-1].options("model")[_OPTION] != _VALUE:
        return
    if not classes or str(classes[-1]).rpartition(".")[2] != _DIVIDED:
        return
    for source in sources:
        for section in (source.section("model"), source.section("data")):
            package, dot, name = str(section.get("class_path")).rpartition(".")
            if name in _NEW_CLASSES:
                section["class_path"] = f"{package.partition('.')[0]}{dot}{_NEW_CLASSES[name]}"
        options = source.options("model")
        beaten = (_OPTION,) if options.get(_OPTION) != _VALUE else ()
        for name in (*_WITHOUT, *beaten):
            options.pop(name, None)
    _tell(f"{setting[-1].where}: {_DIVIDED} with {_OPTION} {_VALUE} is now {_NEW_CLASSES[_DIVIDED]}")


def _tell(what: str) -> None:
    if what not in _told:
        _told.add(what)
        message = f"{what} (old name still read; goes away in the next release)."
        warnings.warn(message, LightningTasksWarning, stacklevel=4)


def with_new_hyper_parameters(checkpoint: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return a checkpoint's content with the new names among the hyper-parameters of its model and data."""
    settings = {}
    for section, key in _IN_CHECKPOINTS.items():
        if isinstance(stored := checkpoint.get(key), dict):
            values = dict(stored)
            settings[section] = {"class_path": values.pop("_class_path", None), "init_args": values}
    rename([Source(str(path), settings)])
    renewed = {}
    for section, values in settings.items():
        known = {} if values["class_path"] is None else {"_class_path": values["class_path"]}
        renewed[_IN_CHECKPOINTS[section]] = {**values["init_args"], **known}
    return {**checkpoint, **renewed}


def with_settings_before(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a checkpoint's data; where they are older than an option, with what was done before."""
    return {**ADDED, **data} if _SPLIT in data else dict(data)


def with_new_names(args: Sequence[str]) -> list[str]:
    """Return a command line, the verb first, with the new names in its options and in its configs.

    A config in which something has changed is handed on as text.
    """
    arguments = list(_arguments(args))
    sources = [_source(option, value, args[0]) for _, option, value in arguments]
    before = deepcopy(sources)
    rename(sources)
    renamed: list[str] = []
    for (words, option, _), now, old in zip(arguments, sources, before, strict=True):
        renamed += words if now == old else _words(option, now, args[0])
    return renamed


def _arguments(args: Sequence[str]) -> Iterator[tuple[list[str], str, str]]:
    """Yield each word or option with its value: as they stand there; and the option and the value, if it is one."""
    left = list(args)
    while left:
        word = left.pop(0)
        option, equals, value = word.partition("=")
        if word == "--":
            yield [word, *left], "", ""
            return
        if not word.startswith("-") or equals or not left or left[0].startswith("--"):
            yield [word], option if equals else "", value
        else:
            yield [word, left[0]], word, left.pop(0)


def _source(option: str, value: str, verb: str) -> Source:
    """Return what an argument sets; nothing where that is nothing that could have another name."""
    if option in ("--config", "-c"):
        return _config(value)
    where = "command line"
    section, *names = option.removeprefix("--").split(".")
    if section not in _IN_CHECKPOINTS:
        return Source(where, {verb: {section: value}} if option.startswith("--") else {})
    names = names[1:] if names[:1] == ["init_args"] else names
    read = _read(value)
    if not names or names == ["class_path"]:
        return Source(where, {section: read if isinstance(read, dict) else {"class_path": value}})
    return Source(where, {section: {names[0]: read}} if len(names) == 1 else {})


def _config(value: str) -> Source:
    try:
        text = value if "\n" in value or "{" in value else Path(value).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return Source(value, {})  # the parser says what is wrong with it
    settings = _read(text)
    return Source("--config" if text is value else value, settings if isinstance(settings, dict) else {})


def _read(text: str) -> Any:  # noqa: ANN401 - what YAML has words for
    try:
        return load(text)
    except yaml.YAMLError:
        return text


def _words(option: str, source: Source, verb: str) -> list[str]:
    """Return the words that set what a renamed source says."""
    if option in ("--config", "-c"):
        return [option, dump_in_one_line(source.settings)]
    words = []
    for section in source.settings:
        if option == f"--{section}" and "init_args" in source.section(section):
            return [option, dump_in_one_line(source.section(section))]
        for name, value in source.options(section).items():
            full = section if name == "class_path" else name if section == verb else f"{section}.{name}"
            words += [f"--{full}", value if isinstance(value, str) else dump_in_one_line(value)]
    return words
