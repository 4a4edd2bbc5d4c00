"""Names of outputs: when two are the same, and how many of them a message lists."""

import unicodedata
from collections.abc import Sequence


def composed(names: Sequence[str]) -> list[str]:
    """Return names such that what looks alike is alike; a checkpoint may have them as an older version read them."""
    return [unicodedata.normalize("NFC", name) for name in names]


def first_of(names: Sequence[str], n: int) -> str:
    """Return the first few names in one line, or `none`."""
    return ", ".join(names[:n]) + (", ..." if len(names) > n else "") if names else "none"
