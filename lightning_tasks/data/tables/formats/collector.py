"""Python's garbage collector, while millions of objects are made that all stay."""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def collector_at_rest() -> Iterator[None]:
    """Let the collector rest, if it is at work: it would look through all that was read, again and again.

    It costs a third of the time of parsing a large JSON file.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
