"""Letters for drawn text: fonts that have them, whatever alphabet a label is written in."""

import contextlib
import re
import unicodedata
import warnings
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import matplotlib
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text

from lightning_tasks.errors import LightningTasksWarning

DEJAVU = f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf"  # matplotlib brings it: Latin, Greek, Cyrillic, ...
BOX = "□"  # DejaVu has it
_PLAIN_LAST = ("bold", "italic", "oblique", "light", "thin", "mono", "black", "condensed", "serif")
_LISTED = 8
_PLAIN = re.compile(r"[\n -~]*")  # ASCII without its control characters
_UNSEEN = frozenset(("Cc", "Cf", "Mn", "Me"))  # joiners, variants of emoji, marks: nothing is missed without them
_told: set[str] = set()


def fonts_for(texts: Iterable[str]) -> tuple[str, ...]:
    """Return font files that together have the letters of `texts`, as far as this machine has them; DejaVu first."""
    return _fonts_and_missing(_letters(texts))[0]


def drawable(text: str) -> str:
    """Return the text with a box for each letter that no font has; warn of each such letter once."""
    missing = _fonts_and_missing(_letters([text]))[1]
    new = sorted(letter for letter in missing - _told if unicodedata.category(letter) not in _UNSEEN)
    if new:
        _told.update(new)
        listed = " ".join(new[:_LISTED]).encode("utf-8", "replace").decode()
        warnings.warn(
            f"No font here has {listed}{' and others' if len(new) > _LISTED else ''}: drawn as {BOX}. Install one that "
            "does; for Chinese, Japanese and Korean that is fonts-noto-cjk (Debian, Ubuntu) or "
            "google-noto-sans-cjk-fonts (Fedora).",
            LightningTasksWarning,
            stacklevel=2,
        )
    return "".join(_instead(letter) if letter in missing else letter for letter in text)


def runs(text: str, fonts: Iterable[str]) -> list[tuple[str, str]]:
    """Return the text in parts, each with the first of the font files that has its letters."""
    parts: list[tuple[str, str]] = []
    files = list(fonts)
    for letter in text:
        file = next((file for file in files if ord(letter) in _code_points(file)), files[0])
        if parts and parts[-1][0] == file:
            parts[-1] = (file, parts[-1][1] + letter)
        else:
            parts.append((file, letter))
    return parts


def letter_figure(figure: Figure) -> Figure:
    """Give the texts of a figure fonts that have their letters, and return it; to be called before it is drawn."""
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text) and not _PLAIN.fullmatch(text.get_text())]
    families = [_family(file) for file in fonts_for(text.get_text() for text in texts)]
    for text in texts:
        text.set_text(drawable(text.get_text()))
        text.set_fontfamily(families)
    return figure


def _instead(letter: str) -> str:
    if letter.isspace():
        return " "
    return "" if unicodedata.category(letter) in _UNSEEN else BOX


def _letters(texts: Iterable[str]) -> frozenset[str]:
    return frozenset(letter for text in texts for letter in text if letter != "\n")


@cache
def _fonts_and_missing(letters: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    chosen, missing = [DEJAVU], _without(letters, DEJAVU)
    for file in _others() if missing else ():
        left = _without(missing, file)
        if left != missing:
            chosen, missing = [*chosen, file], left
        if not missing:
            break
    return tuple(chosen), missing


def _without(letters: frozenset[str], file: str) -> frozenset[str]:
    return frozenset(letter for letter in letters if ord(letter) not in _code_points(file))


@cache
def _code_points(file: str) -> frozenset[int]:
    with contextlib.suppress(RuntimeError, OSError, ValueError):  # a damaged font
        font = font_manager.get_font(file)
        if font.scalable:  # else it is of coloured images
            return frozenset(font.get_charmap())
    return frozenset()


@cache
def _others() -> tuple[str, ...]:
    """Return this machine's font files, as fontconfig and the usual folders name them; plain ones first."""
    # Apple's LastResort has a sign for every letter, which says what alphabet it is of.
    files = [file for file in font_manager.findSystemFonts() if "lastresort" not in file.lower()]
    return tuple(sorted(files, key=lambda file: (any(word in Path(file).name.lower() for word in _PLAIN_LAST), file)))


@cache
def _family(file: str) -> str:
    font_manager.fontManager.addfont(file)  # matplotlib's own list may be older than the font
    return font_manager.FontProperties(fname=file).get_name()
