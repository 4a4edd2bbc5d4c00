"""What happens to one sample, step by step, for a person."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lightning_tasks.errors import ConfigError, LightningTasksError

NAMES_LISTED = 30


@contextlib.contextmanager
def step(name: str, sample: str) -> Iterator[None]:
    """Let an error of a step name the step and the sample."""
    try:
        yield
    except LightningTasksError:
        raise
    except Exception as error:  # a transform of the user's may raise anything
        raise ConfigError(f"The step {name!r} failed for {sample}: {type(error).__name__}: {error}") from error


def array_line(name: str, values: NDArray[Any] | Tensor, unit: str = "") -> str:
    """Return a line about an array: its shape, its type, and between which values it lies."""
    kind = str(values.dtype).removeprefix("torch.")
    finite = values[~np.isnan(values)] if isinstance(values, np.ndarray) and values.dtype.kind == "f" else values
    span = f"{float(finite.min()):g} to {float(finite.max()):g}" if len(finite) else "empty"
    return f"  {name:<16}  {tuple(values.shape)!s:<18}  {kind:<8}  {span}{' ' + unit if unit else ''}"
