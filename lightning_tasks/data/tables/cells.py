"""What a cell of a table says, whatever its column."""

import re
import unicodedata
from functools import lru_cache

_NOTHING = frozenset(
    (
        *("nan", "-nan", "none", "null", "(null)", "nil", "n/a", "na", "<na>", "nat", "undefined"),
        *("-", "--", "–", "—", ".", "?"),
        *("#n/a", "#na", "#null!", "#value!", "#ref!", "#name?", "#num!", "#div/0!"),  # a spreadsheet's
    )
)
_UNSEEN = "\u00ad\u200b\u200e\u200f\u2060\ufeff"  # a soft hyphen, a blank of no width, marks of direction and order
_WITHOUT_UNSEEN = dict.fromkeys(map(ord, _UNSEEN))
TRUE, FALSE = frozenset(("true", "1", "1.0", "yes", "t", "y")), frozenset(("false", "0", "0.0", "no", "f", "n"))
_KEPT = 2**14  # words that are looked at once: a table of a million rows has few labels
_WITH_DECIMAL_COMMA = re.compile(r"\s*[-+]?\d*,\d+(?:[eE][-+]?\d+)?\s*")


@lru_cache(_KEPT)
def normalize(text: str) -> str:
    """Return text such that what looks alike is alike: é one character (NFC), nothing unseen, one blank for several."""
    return " ".join(unicodedata.normalize("NFC", text).translate(_WITHOUT_UNSEEN).split())


@lru_cache(_KEPT)
def stands_for_nothing(text: str) -> bool:
    """Return whether a word is what programs write for a value that is not there."""
    return text.strip().lower() in _NOTHING


def as_bool(cell: str) -> bool | None:
    """Return the truth that a cell names; None: it names none."""
    word = cell.strip().lower()
    return word in TRUE if word in TRUE | FALSE else None


def as_number(cell: str, decimal_comma: bool) -> float | None:
    """Return the number in a cell; None: there is none.

    With `decimal_comma` a comma may stand for the decimal point; else it might separate thousands. What Python alone
    takes for a number, such as 1_0, is none.
    """
    if not cell.isascii() or "_" in cell:
        return None
    if decimal_comma and _WITH_DECIMAL_COMMA.fullmatch(cell):
        cell = cell.replace(",", ".")
    try:
        return float(cell)
    except ValueError:
        return None
