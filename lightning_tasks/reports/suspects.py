"""One html page of images whose annotations are probably wrong, with the doubts in words and points drawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lightning_tasks.reports.page import render_template

_TEMPLATE = "suspects.html.j2"
_FEW = 10  # marks in an image are drawn large
Position = tuple[float, float]  # x and y in pixels of the image on disk; the centre of the top-left one is (0, 0)


@dataclass(frozen=True)
class Marks:
    """SVG paths, in pixels of the image on disk."""

    given: str  # circles
    suggested: str  # diamonds
    lines: str  # between them


@dataclass(frozen=True)
class SuspectCard:
    """An image of the page."""

    path: Path
    fname: str  # as in the table
    table_row: int  # as a person counts them
    image: str  # a data URI; empty where the file cannot be shown
    width_px: int
    height_px: int
    doubts: list[tuple[int, str]]  # rank, and what is suspicious
    marks: Marks | None


def suspects_page(name: str, cards: Sequence[SuspectCard], num_listed: int, num_suspects: int) -> str:
    """Return the page of a model's name, with the images that hold `num_listed` of all that is suspicious."""
    marks = any(card.marks for card in cards)
    return render_template(
        _TEMPLATE, name=name, cards=list(cards), num_listed=num_listed, num_suspects=num_suspects, marks=marks
    )


def draw_marks(pairs: Sequence[tuple[Position, Position]], side_px: float) -> Marks | None:
    """Return what is drawn on an image, its longer side so long, for given and suggested places; None: there are none.

    Circles at the given ones, diamonds at the suggested, and lines between.
    """
    if not pairs:
        return None
    r = side_px / (50 if len(pairs) < _FEW else 100)
    half = f"a{r:.1f} {r:.1f} 0 1 0"
    circles, diamonds, lines = "", "", ""
    for (given_x, given_y), (x, y) in pairs:
        circles += f"M{given_x - r:.1f} {given_y:.1f}{half} {2 * r:.1f} 0{half} {-2 * r:.1f} 0z"
        diamonds += f"M{x:.1f} {y - r:.1f}l{r:.1f} {r:.1f} {-r:.1f} {r:.1f} {-r:.1f} {-r:.1f}z"
        lines += f"M{given_x:.1f} {given_y:.1f}L{x:.1f} {y:.1f}"
    return Marks(circles, diamonds, lines)
