"""What JSON holds, asked for by its type: an error names the entry and shows what stands there."""

import json
import math
from typing import Any, NoReturn

from lightning_tasks.errors import TableError

_SHOWN = 60  # characters of a value in a message
_NUMBERS = {int, float}


def refuse(where: str, what: str) -> NoReturn:
    """Raise TableError: `where` names file and entry, `what` is wrong."""
    raise TableError(f"{where}: {what}. Correct it, or export the file again.")


def shown(value: Any) -> str:  # noqa: ANN401 - whatever JSON holds
    """Return a value as JSON writes it, cut short."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def as_object(value: Any, where: str) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Return what must be a JSON object."""
    return value if isinstance(value, dict) else refuse(where, f"{shown(value)} is no JSON object")


def as_list(value: Any, where: str) -> list[Any]:  # noqa: ANN401 - JSON
    """Return what must be a list."""
    return value if isinstance(value, list) else refuse(where, f"{shown(value)} is no list")


def as_name(value: Any, where: str) -> str:  # noqa: ANN401 - JSON
    """Return what must be text, and not blank."""
    return value if isinstance(value, str) and value.strip() else refuse(where, f"{shown(value)} is no name")


def as_names(value: Any, where: str) -> tuple[str, ...]:  # noqa: ANN401 - JSON
    """Return what must be a list of names."""
    return tuple(as_name(name, where) for name in as_list(value, where))


def as_finite(value: Any, where: str) -> float:  # noqa: ANN401 - JSON
    """Return what must be a number: true and false are none, and neither are NaN and Infinity."""
    number: float = value if are_finite([value], 1) else refuse(where, f"{shown(value)} is no number")
    return number


def as_finites(value: Any, n: int, where: str) -> list[float]:  # noqa: ANN401 - JSON
    """Return what must be a list of `n` numbers."""
    numbers = as_list(value, where)
    if len(numbers) != n:
        refuse(where, f"it has {len(numbers)} values, not {n}")
    return [as_finite(number, where) for number in numbers]


def are_finite(values: Any, n: int) -> bool:  # noqa: ANN401 - JSON
    """Return whether this is a list of `n` numbers, as `as_finites` wants it; quicker, as there may be a million."""
    if type(values) is not list or len(values) != n or not set(map(type, values)) <= _NUMBERS:
        return False
    try:
        return math.isfinite(sum(values))
    except OverflowError:  # a whole number of hundreds of digits
        return False
