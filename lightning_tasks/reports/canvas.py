"""Writing and drawing on an image, in whatever alphabet."""

from collections.abc import Sequence
from typing import Any

from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from lightning_tasks.reports.fonts import DEJAVU, drawable, fonts_for, runs

WHITE, DARK = (255, 255, 255), (20, 20, 20)
_TEXT_SHARE = 1 / 22  # of the shorter side


class Canvas:
    """An image to draw on, and letters for it.

    Args:
        image: is drawn on.
        text_px: the letters' size; None: by the image's.

    Attributes:
        draw: what draws on the image.
    """

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
            box = (margin, top, 3 * margin + self._length(line), top + step - 2)
            self.draw.rectangle(box, fill=(*DARK, 190))
            self.write(2 * margin, top + (step - 2) / 2, line, fill=WHITE)

    def _length(self, text: str) -> float:
        return sum(self._font(file).getlength(part) for file, part in runs(text, fonts_for([text])))

    def _font(self, file: str) -> ImageFont.FreeTypeFont:
        if file not in self._fonts:
            self._fonts[file] = ImageFont.truetype(file, self.text_px)
        return self._fonts[file]


def one_line(text: str) -> str:
    """Return a name as it can be drawn: in one line, with letters that some font has."""
    return drawable(" ".join(text.split()))
