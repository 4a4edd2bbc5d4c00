"""The configs that come with the package."""

import sys
from pathlib import Path

from lightning_tasks.config_files import packaged_config, packaged_configs

_OVERLAY = "Overlay: "  # how the first line of what is laid over another config begins


def configs(show: str | None = None) -> None:
    """List the configs that come with the package, each with its first line, or print one.

    Args:
        show: the name of the one that is printed as it is: `--show pascal > mine.yaml` makes one to change.

    Raises:
        ConfigError: there is none of that name.
    """
    if show is not None:
        text = packaged_config(show).read_bytes()
        sys.stdout.flush()
        sys.stdout.buffer.write(text)  # the same bytes, whatever the terminal's encoding
        return
    lines = {name: _first_line(path) for name, path in packaged_configs().items()}
    overlays = {name: line.removeprefix(_OVERLAY) for name, line in lines.items() if line.startswith(_OVERLAY)}
    _print_list("configs", "fit --config NAME", {n: line for n, line in lines.items() if n not in overlays})
    _print_list("overlays", "fit --config NAME --config OVERLAY", overlays)


def _first_line(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return file.readline().removeprefix("#").strip()


def _print_list(what: str, use: str, lines: dict[str, str]) -> None:
    print(f"{what}: lightning-tasks {use}")
    for name, line in lines.items():
        print(f"  {name:<16} {line}")
