"""Which file a `--config` means: one of the user's own, or one that comes with the package."""

import difflib
import re
from pathlib import Path

import yaml

from lightning_tasks.errors import ConfigError
from lightning_tasks.filesystem import exists, expand_path, is_file, is_folder, why_missing
from lightning_tasks.yaml_text import dump_in_one_line, load

FOLDER = Path(__file__).parent / "configs"  # in a checkout a link to conf/; in a wheel the files themselves
_TEXT = re.compile(r"[{}:\n]")  # in settings that are given as text in place of a file's name


def packaged_configs() -> dict[str, Path]:
    """Return the configs that come with the package, by name: the file's, without its ending."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.yaml"))}


def find_config(given: str) -> str:
    """Return the file that is meant: the one of this path, with `~` and `$NAME` expanded, or the packaged one.

    A file that is there goes first. Settings as text are returned as they are, if they have several lines.

    Raises:
        ConfigError: there is neither, or a variable is not set.
    """
    if "\n" in given:
        return given
    path = expand_path(given)
    if not path or _TEXT.search(path) or (exists(path) and not is_folder(path)):
        return path
    return str(packaged_config(path))


def config_layers(given: str, above: tuple[str, ...] = ()) -> list[str]:
    """Return the configs, as files or as text, that a config is laid over by its key `config`, and itself at the end.

    Args:
        given: what `find_config` takes. In it `config: NAME` is a file seen from its folder, or a packaged config.
        above: those that are laid over it.

    Raises:
        ConfigError: one is not there, or is laid over itself; or a variable is not set.
    """
    found = find_config(given)
    try:
        settings = load(found if _TEXT.search(found) else Path(found).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return [found]  # the parser says what is wrong with it
    below = settings.get("config") if isinstance(settings, dict) else None
    if not isinstance(below, str):
        return [found]
    if found in above:
        raise ConfigError(f"{found} is laid over itself by `config: {below}` (or by one of those that it names).")
    beside = str(Path(found).parent / below)
    own = {name: value for name, value in settings.items() if name != "config"}
    return [*config_layers(beside if is_file(beside) else below, (*above, found)), dump_in_one_line(own)]


def packaged_config(name: str) -> Path:
    """Return the packaged config of a name.

    Raises:
        ConfigError: there is none; with the names that are near, the user's own configs' too.
    """
    known = packaged_configs()
    if name in known:
        return known[name]
    given = Path(name)
    own = [path.name for path in given.parent.glob("*.y*ml")]
    near = [
        *(str(given.parent / path) for path in difflib.get_close_matches(given.name, own)),
        *difflib.get_close_matches(given.stem, known),
    ]
    told = f" Is {' or '.join(near)} meant?" if near else ""
    raise ConfigError(
        f"There is no config {name!r}{why_missing(given)}: neither such a file nor a packaged one of that name.{told} "
        "`lightning-tasks configs` lists the packaged ones."
    )
