"""Do the parts of the label cells look like labels? What can be told without looking at one image."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from lightning_tasks.data.tables.cells import normalize
from lightning_tasks.data.tables.csv_table import read_cells
from lightning_tasks.data.tables.label_cells import AUTO, BLANK, WHOLE, looks_like_a_list, split_cell
from lightning_tasks.data.tables.label_separators import (
    SEPARATORS,
    asked_for,
    listed_cells,
    names_with_blanks,
    separator_of_cells,
)
from lightning_tasks.data.tables.table_checks import Problem

_RARE = "/+&、，；"  # which are part of names as often
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
    doubts += [f"{names} {asked_for('--data.label_separator')}"] if names else []
    return [Problem("separator", f"{path}: column 'labels': {doubt}") for doubt in doubts]


def guess_separator(path: Path) -> str:
    """Return the separator of the column `labels`; see `separator_of_cells`."""
    return separator_of_cells(_plain_cells(path), f"{path}: column 'labels'")


def _plain_cells(path: Path) -> Counter[str]:
    """Return how many rows have each cell of the column `labels` that is neither empty nor a list.

    Of a long table every second row is looked at, or every third...: what is said of so many holds for all.
    """
    header, *rows = read_cells(path) or [[]]
    column = [normalize(name) for name in header].index("labels")
    sample = rows[:: len(rows) // _LOOKED_AT + 1]
    cells = Counter(row[column].strip() for row in sample if len(row) > column)
    return Counter({cell: n for cell, n in cells.items() if cell and not looks_like_a_list(cell)})


def _other_separator(cells: Mapping[str, int], separator: str) -> str:
    """Return why another separator was meant: the parts hold it, and what it would make of them is seen elsewhere."""
    parts = {part for cell in cells for part in split_cell(cell, separator)}
    for other in SEPARATORS:
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
        f"{other!r} seems to stand between labels, as in {listed_cells(joined)}: say --data.label_separator "
        f"'{other}'; where each cell is one label, {WHOLE}."
    )


def _wrapped(cells: Mapping[str, int], separator: str) -> str:
    parts = dict.fromkeys(part for cell in cells for part in (cell, *split_cell(cell, separator)))
    odd = [part for part in parts if len(part) > 1 and _is_wrapped(part)]
    return f"labels such as {listed_cells(odd)} begin or end with quotes or brackets. Take these out." if odd else ""


def _is_wrapped(part: str) -> bool:
    opened = _WRAPPED.get(part[0])
    if opened is not None:
        return opened == part[-1] or (opened not in part[1:] and part[0] in "[{")
    return part[-1] in "]}" and not any(mark in part for mark in "[{")
