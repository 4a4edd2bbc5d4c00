"""Shares by row and column, as the page's own SVG: in its colours, and with a word for each cell."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

_LEAST = 0.005  # a smaller share has no colour
CELL, LABEL = 10, 66  # sides of a cell, and the length of the names, in the SVG's units


class Cell(NamedTuple):
    """A cell that is coloured."""

    row: int
    column: int
    share: float
    text: str


class Matrix(NamedTuple):
    """A square figure of the page."""

    title: str
    names: Sequence[str]
    cells: list[Cell]

    @property
    def side(self) -> int:
        """The SVG's side in its units."""
        return LABEL + CELL * len(self.names)


def matrix(title: str, sentence: str, names: Sequence[str], shares: Tensor) -> Matrix:
    """Return a figure of shares (C, C), NaN where there are none.

    Args:
        title: what it shows.
        sentence: what a cell says, with {0} for the row's name and {1} for the column's.
        names: of the C rows and columns.
        shares: from 0 to 1.
    """
    cells = [
        Cell(row, column, share, f"{sentence.format(names[row], names[column])}: {100 * share:.1f} %")
        for row, of_row in enumerate(shares.tolist())
        for column, share in enumerate(of_row)
        if share >= _LEAST
    ]
    return Matrix(title, names, cells)
