"""Writing and drawing on images and figures, in whatever alphabet a label is written."""

import contextlib
import itertools
import re
import unicodedata
import warnings
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from lightning_tasks.errors import LightningTasksWarning

WHITE, DARK = (255, 255, 255), (20, 20, 20)
_TEXT_SHARE = 1 / 22  # of the shorter side
DEJAVU = f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf"  # matplotlib brings it: Latin, Greek, Cyrillic, ...
BOX = "□"  # DejaVu has it
_PLAIN_LAST = ("bold", "italic", "oblique", "light", "thin", "mono", "black", "condensed", "serif")
_LISTED = 8
_PLAIN = re.compile(r"[\n -~]*")  # ASCII without its control characters
_UNSEEN = frozenset(("Cc", "Cf", "Mn", "Me"))  # joiners, variants of emoji, marks: nothing is missed without them
_told: set[str] = set()


class Canvas:
    """An image to draw on by `draw`, and letters for it, `text_px` high; None: by the image's size."""

    def __init__(self, image: Pillow.Image, text_px: int | None = None) -> None:
        self.height = image.height
        self.draw = ImageDraw.Draw(image, "RGBA")
        self.text_px = text_px or max(10, round(min(image.size) * _TEXT_SHARE))
        self._fonts: dict[str, ImageFont.FreeTypeFont] = {}
        self._ascent_px, self._descent_px = self._font(DEJAVU).getmetrics()

    def write(self, x: float, middle: float, text: str, **style: Any) -> None:  # noqa: ANN401 - as Pillow's own
        """Write a line around the height `middle`, with the font for each part of it that has its letters."""
        baseline = middle + (self._ascent_px - self._descent_px) / 2
        for file, part in runs(text, fonts_for([text])):
            font = self._font(file)
            self.draw.text((x, baseline), part, font=font, anchor="ls", **style)
            x += font.getlength(part)

    def write_lines(self, lines: Sequence[str]) -> None:
        """Write lines on dark ground from the top left down, as many as there is room for."""
        margin, step = self.text_px // 3, round(self.text_px * 1.35)
        for i, line in enumerate(lines[: max(1, (self.height - margin) // step)]):
            top = margin + i * step
            length = sum(self._font(file).getlength(part) for file, part in runs(line, fonts_for([line])))
            self.draw.rectangle((margin, top, 3 * margin + length, top + step - 2), fill=(*DARK, 190))
            self.write(2 * margin, top + (step - 2) / 2, line, fill=WHITE)

    def _font(self, file: str) -> ImageFont.FreeTypeFont:
        if file not in self._fonts:
            self._fonts[file] = ImageFont.truetype(file, self.text_px)
        return self._fonts[file]


def one_line(text: str) -> str:
    """Return a name as it can be drawn: in one line, with letters that some font has."""
    return drawable(" ".join(text.split()))


def fonts_for(texts: Iterable[str]) -> tuple[str, ...]:
    """Return font files that together have the letters of `texts`, as far as this machine has them; DejaVu first."""
    return _fonts_and_missing(frozenset().union(*texts))[0]


def drawable(text: str) -> str:
    """Return the text with a box for each letter that no font has; warn of each such letter once."""
    missing = _fonts_and_missing(frozenset(text))[1]
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
    instead = {letter: "" if unicodedata.category(letter) in _UNSEEN else BOX for letter in missing}
    instead |= {letter: " " for letter in missing if letter.isspace()}
    return "".join(instead.get(letter, letter) for letter in text)


def runs(text: str, fonts: Iterable[str]) -> list[tuple[str, str]]:
    """Return the text in parts, each with the first of the font files that has its letters."""
    files = list(fonts)

    def font_of(letter: str) -> str:
        return next((file for file in files if letter in _letters(file)), files[0])

    return [(file, "".join(letters)) for file, letters in itertools.groupby(text, font_of)]


def letter_figure(figure: Figure) -> Figure:
    """Give the texts of a figure fonts that have their letters, and return it; to be called before it is drawn."""
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text) and not _PLAIN.fullmatch(text.get_text())]
    families = [_family(file) for file in fonts_for(text.get_text() for text in texts)]
    for text in texts:
        text.set_text(drawable(text.get_text()))
        text.set_fontfamily(families)
    return figure


@cache
def _fonts_and_missing(letters: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    chosen, missing = [DEJAVU], letters - _letters(DEJAVU) - {"\n"}
    for file in _others() if missing else ():
        if missing & _letters(file):
            chosen, missing = [*chosen, file], missing - _letters(file)
        if not missing:
            break
    return tuple(chosen), missing


@cache
def _letters(file: str) -> frozenset[str]:
    with contextlib.suppress(RuntimeError, OSError, ValueError):  # a damaged font
        font = font_manager.get_font(file)
        if font.scalable:  # else it is of coloured images
            return frozenset(map(chr, font.get_charmap()))
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
