"""What the data.yaml, obj.data or classes.txt of a YOLO data set says of it.

The layouts are those of Ultralytics' data.yaml (of train, val and test each a folder, a list of images in a text file,
or several), of Roboflow's, whose paths lead out of the folder, of darknet's obj.data, and of a classes.txt beside
images/ and labels/, as LabelImg, Label Studio and CVAT write it.
"""

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from lightning_tasks.data.tables.formats.source import Source
from lightning_tasks.data.tables.formats.text_lines import utf8_lines
from lightning_tasks.data.tables.formats.yolo.rows import looks_like_rows
from lightning_tasks.errors import TableError
from lightning_tasks.filesystem import exists, is_file

_LISTS = {"train": "train", "val": "val", "valid": "val", "test": "test"}  # keys, and names of lists
NAMES_FILES = frozenset(("classes.txt", "predefined_classes.txt", "labels.txt"))  # besides those with these endings
_NAMES_ENDINGS = (".names", ".labels")
_KEYS = re.compile(r"""(?m)^[{ \t"']*(?:names|nc)["']?\s*:|[{,]\s*["']?names""")  # of what may be a data.yaml
_YAMLS = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_LARGEST_YAML_BYTES = 2**20


@dataclass
class Layout:
    """What a data set's own files say of it."""

    path: Path | None = None  # of the file that says it
    settings: Mapping[str, Any] = field(default_factory=dict)  # text, lists and mappings of text
    names: dict[int, str] = field(default_factory=dict)
    splits: dict[str, list[tuple[str, str]]] = field(default_factory=dict)  # places of each split, and who names them

    @property
    def base(self) -> Path:
        """The folder that places start from."""
        return Path() if self.path is None else self.path.parent


def find_layout(source: Source) -> Layout:
    """Return what there is; raises TableError where it cannot be used."""
    for path in source.with_ending(".yaml", ".yml"):
        if path.name in _YAMLS:
            _load(path)  # where it is damaged, that is told
    yamls = _data_yamls(source)
    if len(yamls) > 1:
        named = [path for path in yamls if path.name in _YAMLS]
        if len(named) != 1:
            paths = ", ".join(map(str, yamls[:5]))
            raise TableError(f"{source.path}: several files describe a data set: {paths}. Name the one that is meant.")
        yamls = named
    if yamls:
        return _of_yaml(yamls[0])
    if datas := [path for path in source.with_ending(".data") if "names" in _key_values(path)]:
        return _of_darknet(datas[0])
    lists = [path for path in source.files if path.name.lower() in NAMES_FILES or path.suffix.lower() in _NAMES_ENDINGS]
    lists = [path for path in lists if not looks_like_rows(source.head(path))]
    if not lists:
        return Layout()
    layout = Layout(lists[0], {}, names_in_lines(lists[0]))
    if other := next((path for path in lists[1:] if names_in_lines(path) != layout.names), None):
        raise TableError(f"{other}: its classes are not those of {lists[0]}. Convert one folder at a time.")
    for name, split in _LISTS.items():
        path = layout.base / f"{name}.txt"
        if is_file(path) and not looks_like_rows(source.head(path)):  # an image may be called test.jpg
            layout.splits.setdefault(split, []).append((path.name, str(path)))
    return layout


def _data_yamls(source: Source) -> list[Path]:
    return [path for path in source.with_ending(".yaml", ".yml") if _is_data_yaml(path, source.head(path))]


def _is_data_yaml(path: Path, head: str) -> bool:
    settings: Any = None
    with contextlib.suppress(TableError):
        settings = _load(path) if _KEYS.search(head) else None
    keys = set(settings) if isinstance(settings, dict) else set()
    return bool("names" in keys and keys & {"train", "val", "nc", "path"}) or {"train", "nc"} <= keys


def describes(source: Source) -> bool:
    """Return whether a file says what a YOLO data set has; raises nothing."""
    return bool(_data_yamls(source)) or any("names" in _key_values(path) for path in source.with_ending(".data"))


def _load(path: Path) -> Any:  # noqa: ANN401 - whatever YAML holds
    """Return what a YAML file holds, every scalar as text: `no` and `1e3` are names of classes, too.

    Not by libyaml, which is faster, but which deep nesting makes crash.
    """
    try:
        if path.stat().st_size > _LARGEST_YAML_BYTES:
            raise TableError(f"{path}: too large to describe a data set.")
        return yaml.load(path.read_text(encoding="utf-8-sig"), Loader=yaml.BaseLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = "" if mark is None else f"line {mark.line + 1}: "
        raise TableError(f"{path}: {line}not YAML ({getattr(error, 'problem', error)}). Correct it.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise TableError(f"{path}: cannot be read ({error}).") from error


def _of_yaml(path: Path) -> Layout:
    settings = _load(path)
    names = settings.get("names")
    if names is None:
        names = [f"class_{i}" for i in range(_class_id(path, settings["nc"]))]  # as Ultralytics calls them
    if isinstance(names, dict):
        found: dict[int, Any] = {_class_id(path, key): name for key, name in names.items()}
    elif isinstance(names, list):
        found = dict(enumerate(names))
    else:
        raise TableError(f"{path}: names is {names!r}, neither a list nor 0: name, 1: name. Correct it.")
    for key, name in found.items():
        if not isinstance(name, str) or not name.strip():
            raise TableError(f"{path}: names: class {key} is {name!r}, which is no name. Correct it.")
    if (nc := settings.get("nc")) is not None and nc != str(len(found)):
        raise TableError(f"{path}: nc is {nc}, and there are {len(found)} names. Correct one of them.")
    layout = Layout(path, settings, found)
    for where, split in _LISTS.items():
        places = settings.get(where) or []
        for place in [places] if isinstance(places, str) else places:
            layout.splits.setdefault(split, []).append((str(place), f"{path}: {where}"))
    return layout


def _class_id(path: Path, key: str) -> int:
    try:
        return int(key)
    except ValueError as error:
        raise TableError(f"{path}: {key!r} is no number of a class. Write names as 0: name, 1: name.") from error


def _key_values(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError):
        return {}
    pairs = (line.partition("=") for line in lines if not line.lstrip().startswith("#"))
    return {key.strip(): value.strip() for key, equals, value in pairs if equals}


def _of_darknet(path: Path) -> Layout:
    settings = _key_values(path)
    layout = Layout(path, settings)
    names = place_of(settings["names"], layout, None)
    if names is None:
        raise TableError(f"{path}: names: there is no {settings['names']}. Restore it.")
    layout.names = names_in_lines(names)
    for key, split in _LISTS.items():
        if key in settings:
            layout.splits.setdefault(split, []).append((settings[key], f"{path}: {key}"))
    return layout


def names_in_lines(path: Path) -> dict[int, str]:
    """Return the name of each class, one a line."""
    names = [line.strip() for line in utf8_lines(path, "Save it as UTF-8.")]
    while names and not names[-1]:
        names.pop()
    if "" in names:
        raise TableError(f"{path}: line {names.index('') + 1}: is empty. Write the name of a class in each line.")
    return dict(enumerate(names))


def place_of(name: str, layout: Layout, images: Path | None) -> Path | None:
    """Return a file or a folder that is named from another folder or machine; None: there is no such.

    From the folder of the images, from `path`, from the file that names it, and from there with fewer and fewer
    folders before it: Roboflow's `../train/images` lies beside data.yaml, and CVAT's `data/train.txt`, too.
    """
    plain = PurePosixPath(name.replace("\\", "/"))
    root = str(layout.settings.get("path") or "").replace("\\", "/")
    bases = [*([images] if images else []), layout.base / root, layout.base]
    parts = [part for part in plain.parts if part not in ("..", ".", "/")]
    tails = [PurePosixPath(*parts[start:]) for start in range(len(parts))]
    return next((base / tail for tail in (plain, *tails) for base in bases if exists(base / tail)), None)
