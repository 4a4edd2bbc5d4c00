"""How many cores there are."""

import os


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux alone says which cores this process may use
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
