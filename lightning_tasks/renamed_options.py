"""Options that have another name now: the old ones are read for one more release, with a line that says so.

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


class Renamed(NamedTuple):
    """An option's old and new name, each behind its section: `data`, `model`, or a verb."""

    old: str
    new: str
    value: Callable[[Any], Any] = lambda value: value  # makes the new option's of the old one's


class Divided(NamedTuple):
    """A model's class of which a value of an option has become another class."""

    old: str
    option: str
    value: str
    new: str
    without: tuple[str, ...]  # options of the old class that the new one has not
    data: Mapping[str, str]  # old → new: the classes of its data


RENAMED = (
    Renamed("data.flip", "data.flip_p", lambda flip: 0.5 * flip if isinstance(flip, bool) else flip),
    Renamed("data.max_bad_share", "data.max_bad_fraction"),
    Renamed("export.pictures", "export.images"),
)
DIVIDED = Divided(
    old="MultiLabelClassifier",
    option="loss",
    value="cross_entropy",
    new="MultiClassClassifier",
    without=("threshold", "asymmetric_gamma", "asymmetric_clip"),
    data={"MultiLabelDataModule": "MultiClassDataModule"},
)
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
    for where, settings in sources:
        for renamed in RENAMED:
            section, _, old = renamed.old.partition(".")
            options = Source(where, settings).options(section)
            if old in options:
                _replace(options, old, renamed.new.partition(".")[2], renamed.value)
                _tell(f"{where}: {renamed.old} is now {renamed.new}")


def _replace(options: dict[str, Any], old: str, new: str, value: Callable[[Any], Any]) -> None:
    """Rename an option in its place; one that is there by its new name, too, is kept as it is."""
    items = [(name, given) for name, given in options.items() if name != old or new not in options]
    options.clear()
    options.update((new, value(given)) if name == old else (name, given) for name, given in items)


def _divide(sources: Sequence[Source]) -> None:
    setting = [source for source in sources if DIVIDED.option in source.options("model")]
    classes = [name for source in sources if (name := source.section("model").get("class_path")) is not None]
    if not setting or setting[-1].options("model")[DIVIDED.option] != DIVIDED.value:
        return
    if not classes or str(classes[-1]).rpartition(".")[2] != DIVIDED.old:
        return
    renewed = {DIVIDED.old: DIVIDED.new, **DIVIDED.data}
    for source in sources:
        for section in (source.section("model"), source.section("data")):
            package, dot, name = str(section.get("class_path")).rpartition(".")
            if name in renewed:
                section["class_path"] = f"{package.partition('.')[0]}{dot}{renewed[name]}"
        options = source.options("model")
        for name in DIVIDED.without:
            options.pop(name, None)
        if options.get(DIVIDED.option) != DIVIDED.value:  # it was to be beaten
            options.pop(DIVIDED.option, None)
    _tell(f"{setting[-1].where}: {DIVIDED.old} with {DIVIDED.option} {DIVIDED.value} is now {DIVIDED.new}")


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
    before = deepcopy(settings)
    rename([Source(str(path), settings)])
    renewed = {}
    for section, values in settings.items():
        if values != before[section]:
            known = {} if values["class_path"] is None else {"_class_path": values["class_path"]}
            renewed[_IN_CHECKPOINTS[section]] = {**values["init_args"], **known}
    return {**checkpoint, **renewed}


class _Argument(NamedTuple):
    """A word of the command line, or an option with its value."""

    words: tuple[str, ...]  # as they stand there
    option: str = ""
    value: str = ""


def with_new_names(args: Sequence[str]) -> list[str]:
    """Return a command line, the verb first, with the new names in its options and in its configs.

    A config in which something has changed is handed on as text.
    """
    arguments = list(_arguments(args))
    sources = [_source(argument, args[0]) for argument in arguments]
    before = deepcopy(sources)
    rename(sources)
    renamed: list[str] = []
    for argument, now, old in zip(arguments, sources, before, strict=True):
        renamed += argument.words if now == old else _words(argument, now, args[0])
    return renamed


def _arguments(args: Sequence[str]) -> Iterator[_Argument]:
    left = list(args)
    while left:
        word = left.pop(0)
        option, equals, value = word.partition("=")
        if word == "--":
            yield _Argument((word, *left))
            return
        if not word.startswith("-") or equals or not left or left[0].startswith("--"):
            yield _Argument((word,), option if equals else "", value)
        else:
            yield _Argument((word, left[0]), word, left.pop(0))


def _source(argument: _Argument, verb: str) -> Source:
    """Return what an argument sets; nothing where that is nothing that could have another name."""
    option, value = argument.option, argument.value
    if option in ("--config", "-c"):
        return _config(value)
    where = "command line"
    section, *names = option.removeprefix("--").split(".")
    if section not in _IN_CHECKPOINTS:
        return Source(where, {verb: {section: value}} if option.startswith("--") else {})
    read = _read(value)
    if not names or names == ["class_path"]:
        return Source(where, {section: read if isinstance(read, dict) else {"class_path": value}})
    if len(names) > 1 + (names[0] == "init_args"):
        return Source(where, {})
    options = {names[-1]: read}
    return Source(where, {section: {"init_args": options} if len(names) == 2 else options})


def _config(value: str) -> Source:
    try:
        text = value if "\n" in value or "{" in value else Path(value).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return Source(value, {})  # the parser says what is wrong with it
    settings = _read(text)
    where = "--config" if text is value else value
    return Source(where, settings if isinstance(settings, dict) else {})


def _read(text: str) -> Any:  # noqa: ANN401 - what YAML has words for
    try:
        return load(text)
    except yaml.YAMLError:
        return text


def _words(argument: _Argument, source: Source, verb: str) -> list[str]:
    """Return the words that set what a renamed source says."""
    if argument.option in ("--config", "-c"):
        return [argument.option, dump_in_one_line(source.settings)]
    words = []
    for section in source.settings:
        if argument.option == f"--{section}" and "init_args" in source.section(section):
            return [argument.option, dump_in_one_line(source.section(section))]
        for name, value in source.options(section).items():
            prefix = "" if section == verb else f"{section}."
            words += [f"--{section if name == 'class_path' else prefix + name}", _text(value)]
    return words


def _text(value: Any) -> str:  # noqa: ANN401 - what YAML has words for
    return value if isinstance(value, str) else dump_in_one_line(value)
