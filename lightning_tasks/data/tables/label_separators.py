"""What stands between the labels of a table's cells, seen from the cells alone."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise

from lightning_tasks.data.tables.cells import as_number
from lightning_tasks.data.tables.csv_table import shorten
from lightning_tasks.data.tables.label_cells import BLANK, WHOLE, looks_like_a_list, split_cell
from lightning_tasks.errors import ConfigError

SEPARATORS = " ;,|"
_OFTEN = 5  # rows in which two words stand together by more than chance, though the table holds other mixtures
_TWICE = 2  # rows of the same, where the whole table speaks for names
_REPEATED = 3  # rows of a cell, on average, where cells are names
_SHOWN = 3


def separator_of_cells(cells: Mapping[str, int], where: str) -> str:
    """Return the separator that leaves the fewest different labels, and of equals the first.

    Args:
        cells: how many rows have each; none is empty or a list.
        where: the file and the column, for the message.

    Raises:
        ConfigError: only blanks could be one, and they may be part of names.
    """
    # A space may be part of a name: another separator goes before it.
    different = {
        separator: len({part.strip() for cell in cells for part in cell.split(separator) if part.strip()})
        for separator in SEPARATORS
        if separator != BLANK and any(separator in cell for cell in cells)
    }
    if different:
        return min(different, key=different.__getitem__)
    are_numbers = all(as_number(word, decimal_comma=False) is not None for cell in cells for word in cell.split())
    if not are_numbers and (names := names_with_blanks(cells)):
        raise ConfigError(f"{where}: {names} {asked_for('--label_separator')}")
    return BLANK


def separator_note(cells: Iterable[str], separator: str) -> str | None:
    """Return what a person is told of a separator that was guessed; None: it separates nothing."""
    example = next(
        (cell for cell in cells if not looks_like_a_list(cell) and len(split_cell(cell, separator)) > 1), None
    )
    if example is None:
        return None
    called = "blanks" if separator == BLANK else repr(separator)
    labels = ", ".join(map(repr, split_cell(example, separator)))
    cut = f"labels are cut at {called}: {shorten(example)!r} is {shorten(labels)}"
    return f"{cut}; --label_separator {WHOLE} keeps cells whole"


def asked_for(option: str) -> str:
    """Return how a person says what a blank is."""
    return f"Where each cell is one label, say {option} {WHOLE}; where blanks do separate labels, {option} ' '."


def names_with_blanks(cells: Mapping[str, int]) -> str:
    """Return why a blank may be part of a name, though labels would be split on it; empty where nothing says so.

    Cells that mix labels freely hold each word in many neighbourhoods. Cells that are names hold few, again and again:
    words that are never seen apart, or that are seen in one cell only, or that have their place in the name.

    Args:
        cells: how many rows have each.
    """
    names = Counter[tuple[str, ...]]()
    for cell, n in cells.items():
        names[tuple(cell.split())] += n
    several = {words: n for words, n in names.items() if len(words) > 1}
    if not several:
        return ""
    rows = sum(several.values())
    fused = _never_apart(names)
    holding = [words for words in several if any(pair in fused for pair in pairwise(words))]
    often = {pair for pair, n in fused.items() if n >= (_TWICE if len(holding) == len(several) else _OFTEN)}
    if often:
        found = dict.fromkeys(" ".join(pair) for words in several for pair in pairwise(words) if pair in often)
        return f"the words of {listed_cells(list(found))} always stand together, as if they were one name."
    if rows >= _REPEATED * len(several) and (_each_has_its_own(names, several) or _places_are_fixed(names, several)):
        shown = listed_cells([" ".join(words) for words in several])
        return f"{rows:,} cells of several words hold only {shown}, as if these were names."
    return ""


def _never_apart(names: Mapping[tuple[str, ...], int]) -> dict[tuple[str, str], int]:
    """Return the pairs of neighbours of which neither is ever seen without the other, in this order, and how often."""
    alone = Counter[str]()
    together = Counter[tuple[str, str]]()
    for words, n in names.items():
        alone.update(dict.fromkeys(words, n))
        together.update(dict.fromkeys(pairwise(words), n))
    return {(a, b): n for (a, b), n in together.items() if n == alone[a] == alone[b]}


def _each_has_its_own(names: Mapping[tuple[str, ...], int], several: Collection[tuple[str, ...]]) -> bool:
    """Return whether each cell of several words has a word that is in no other one."""
    seen = Counter(word for words in names for word in set(words))
    return all(any(seen[word] == 1 for word in words) for words in several)


def _places_are_fixed(names: Mapping[tuple[str, ...], int], several: Collection[tuple[str, ...]]) -> bool:
    """Return whether no word of these cells is ever alone, and each has its place: a colour, then a car."""
    places: dict[str, set[int]] = {}
    for words in names:
        for place, word in enumerate(words):
            places.setdefault(word, set()).add(place)
    inside = {word for words in several for word in words}
    alone = {words[0] for words in names if len(words) == 1}
    return not inside & alone and all(len(places[word]) == 1 for word in inside)


def listed_cells(names: Sequence[str]) -> str:
    """Return the first few cells for a message, in quotes."""
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(repr(shorten(name)) for name in names[:_SHOWN]) + more
