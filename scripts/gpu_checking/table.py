"""What was found, for a person."""

from collections.abc import Iterator, Mapping
from typing import Any

_WIDTH = 46


def text(result: Mapping[str, Any]) -> str:
    """Return a line for each step and for each thing that it found."""
    lines = [f"device {result['device']}{', tiny' if result['tiny'] else ''}; set up in {result['setup_s']} s"]
    for name, step in result["steps"].items():
        fault = f": {step['error']}" if "error" in step else ""
        lines += ["", f"{name}  {'passed' if step['passed'] else 'FAILED'} in {step['seconds']:.0f} s{fault}"]
        lines += [f"  {key:<{_WIDTH}}  {value}" for key, value in _flat(step.get("found", {}))]
        if not step["passed"]:
            lines += [f"  | {line}" for line in step.get("last_lines", [])[-6:]]
    return "\n".join(lines) + "\n"


def _flat(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in found.items():
        if isinstance(value, Mapping):
            yield key, ", ".join(f"{name} {_cell(cell)}" for name, cell in value.items() if cell is not None)
        else:
            yield key, _cell(value)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return "(" + ", ".join(f"{name} {_cell(cell)}" for name, cell in value.items()) + ")"
    return str(value)
