"""Do the parts of the label cells look like labels? What can be told without looking at one image."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from lightning_tasks.data.tables.cells import normalize
from lightning_tasks.data.tables.csv_table import read_cells, shorten
from lightning_tasks.data.tables.table_checks import Problem
from lightning_tasks.errors import ConfigError
from lightning_tasks.tasks.multilabel.label_cells import AUTO, BLANK, WHOLE, looks_like_a_list, split_cell

_SEPARATORS = " ;,|"
_RARE = "/+&、，；"  # which are part of names as often
_OFTEN = 5  # rows in which two words stand together by more than chance, though the table holds other mixtures
_TWICE = 2  # rows of the same, where the whole table speaks for names
_REPEATED = 3  # rows of a cell, on average, where cells are names
_SHOWN = 3
_LOOKED_AT = 50_000  # rows
_WRAPPED = {'"': '"', "'": "'", "[": "]", "{": "}"}


def separator_problems(path: Path, separator: str) -> list[Problem]:
    """Return what speaks against the separator of a csv file's column `labels`, as doubts of one line each.

    Of BLANK it is taken that somebody chose it; of AUTO it is not.
    """
    if separator == WHOLE:
        return []
    cells = _plain_cells(path)
    doubts = [doubt for doubt in (_other_separator(cells, separator), _wrapped(cells, separator)) if doubt]
    names = names_with_blanks(cells) if separator == AUTO and not doubts else ""
    doubts += [f"{names} {_asked_for('--data.label_separator')}"] if names else []
    return [Problem("separator", f"{path}: column 'labels': {doubt}") for doubt in doubts]


def guess_separator(path: Path) -> str:
    """Return the separator that leaves the fewest different labels, and of equals the first.

    Raises:
        ConfigError: only blanks could be one, and they may be part of names.
    """
    cells = _plain_cells(path)
    # A space may be part of a name: another separator goes before it.
    different = {
        separator: len({part.strip() for cell in cells for part in cell.split(separator) if part.strip()})
        for separator in _SEPARATORS
        if separator != BLANK and any(separator in cell for cell in cells)
    }
    if different:
        return min(different, key=different.__getitem__)
    if names := names_with_blanks(cells):
        raise ConfigError(f"{path}: column 'labels': {names} {_asked_for('--label_separator')}")
    return BLANK


def _plain_cells(path: Path) -> Counter[str]:
    """Return how many rows have each cell of the column `labels` that is neither empty nor a list.

    Of a long table every second row is looked at, or every third...: what is said of so many holds for all.
    """
    header, *rows = read_cells(path) or [[]]
    column = [normalize(name) for name in header].index("labels")
    sample = rows[:: len(rows) // _LOOKED_AT + 1]
    cells = Counter(row[column].strip() for row in sample if len(row) > column)
    return Counter({cell: n for cell, n in cells.items() if cell and not looks_like_a_list(cell)})


def _asked_for(option: str) -> str:
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
        return f"the words of {_listed(list(found))} always stand together, as if they were one name."
    if rows >= _REPEATED * len(several) and (_each_has_its_own(names, several) or _places_are_fixed(names, several)):
        shown = _listed([" ".join(words) for words in several])
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


def _other_separator(cells: Mapping[str, int], separator: str) -> str:
    """Return why another separator was meant: the parts hold it, and what it would make of them is seen elsewhere."""
    parts = {part for cell in cells for part in split_cell(cell, separator)}
    for other in _SEPARATORS:
        joined = [part for part in parts if other in part.strip(other)]
        if separator in (AUTO, BLANK):
            joined += [part for part in parts if other == part[-1]]  # `potted plant; tv`
        elif other == BLANK or any(separator in cell for cell in cells):
            continue  # a name may have blanks, and commas too where something else does separate
        pieces = Counter(piece.strip() for part in parts for piece in set(part.split(other)) if piece.strip())
        # In a name ; and | are rare; a comma is not, and must be seen to join what is seen elsewhere too.
        if joined and (
            other in ";|" or any(pieces[piece.strip()] > 1 for cell in joined for piece in cell.split(other))
        ):
            return _between(other, joined)
    for other in _RARE if separator == AUTO else "":
        # Alone, or between what are labels elsewhere.
        joined = [part for part in parts if part == other or (other in part and parts.issuperset(part.split(other)))]
        if joined and any(other in cell.strip(other) for cell in cells):
            return _between(other, joined)
    return ""


def _between(other: str, joined: Sequence[str]) -> str:
    return (
        f"{other!r} seems to stand between labels, as in {_listed(joined)}: say --data.label_separator "
        f"'{other}'; where each cell is one label, {WHOLE}."
    )


def _wrapped(cells: Mapping[str, int], separator: str) -> str:
    parts = dict.fromkeys(part for cell in cells for part in (cell, *split_cell(cell, separator)))
    odd = [part for part in parts if len(part) > 1 and _is_wrapped(part)]
    return f"labels such as {_listed(odd)} begin or end with quotes or brackets. Take these out." if odd else ""


def _is_wrapped(part: str) -> bool:
    opened = _WRAPPED.get(part[0])
    if opened is not None:
        return opened == part[-1] or (opened not in part[1:] and part[0] in "[{")
    return part[-1] in "]}" and not any(mark in part for mark in "[{")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(repr(shorten(name)) for name in names[:_SHOWN]) + more
