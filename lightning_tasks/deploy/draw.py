"""Copies of images with labels or points drawn on them."""

import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from lightning_tasks.atomic_write import write_whole
from lightning_tasks.cores import usable_cores
from lightning_tasks.data.images.decode import MAX_PIXELS, read_image
from lightning_tasks.deploy.prediction_table import Row
from lightning_tasks.deploy.predictor import LabelPrediction, PointPrediction
from lightning_tasks.errors import ConfigError, LightningTasksError
from lightning_tasks.filesystem import is_file, is_folder
from lightning_tasks.reports.figure_file import DRAWN, is_drawn
from lightning_tasks.reports.fonts import DEJAVU, drawable, fonts_for, runs

_GREEN, _WHITE, _DARK = (26, 127, 55), (255, 255, 255), (20, 20, 20)
_TEXT_SHARE = 1 / 22  # of the shorter side
_FEW_POINTS = 10  # have their names beside them


def check_folder(folder: Path, images: Sequence[Path], names: Sequence[Path]) -> None:
    """Look whether copies can be written to `folder`, before all images are predicted.

    Args:
        folder: is made if need be.
        images: N files, which no copy must write over.
        names: N names of their copies.

    Raises:
        ConfigError: they cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        what = "written to" if is_folder(folder) else "made"
        raise ConfigError(f"{folder} cannot be {what} ({error.strerror}). Name another folder: --annotate.") from error
    inputs = {os.path.abspath(path) for path in images}  # noqa: PTH100 - resolve() asks the disk
    for path, name in zip(images, names, strict=True):
        copy = _copy_of(name, folder)
        if os.path.abspath(copy) in inputs:  # noqa: PTH100
            raise ConfigError(
                f"The annotated copy of {path} would write over {copy}, which is to be predicted too. Name another "
                "folder: --annotate."
            )
        if is_file(copy) and not is_drawn(copy):
            raise ConfigError(
                f"The annotated copy of {path} would write over {copy}, which this program has not drawn. Name "
                "another folder: --annotate."
            )


def annotate_images(
    rows: Sequence[Row], folder: Path, max_pixels: int = MAX_PIXELS, white_level: int | None = None
) -> list[str]:
    """Write a copy of each image that was predicted, under its name; return why any could not be written.

    Args:
        rows: of images that were predicted, or not.
        folder: of the copies.
        max_pixels: of an image.
        white_level: which value is white in images of more than 8 bits.
    """
    with ThreadPoolExecutor(usable_cores()) as pool:
        predicted = [row for row in rows if row.prediction is not None]
        done = pool.map(lambda row: _try_to_annotate(row, folder, max_pixels, white_level), predicted)
        return [problem for problem in done if problem is not None]


def _try_to_annotate(row: Row, folder: Path, max_pixels: int, white_level: int | None) -> str | None:
    try:
        _annotate(row, folder, max_pixels, white_level)
    except LightningTasksError as error:  # the disk is full, the name is too long, the image has gone
        return str(error)
    return None


def _copy_of(name: Path, folder: Path) -> Path:
    return (folder / name).with_name(f"{name.name}.png")


def _annotate(row: Row, folder: Path, max_pixels: int, white_level: int | None) -> None:
    image = Pillow.fromarray(read_image(row.path, max_pixels, white_level))
    pen = Pen(ImageDraw.Draw(image, "RGBA"), max(10, round(min(image.size) * _TEXT_SHARE)))
    if isinstance(row.prediction, LabelPrediction):
        _draw_labels(pen, row.prediction, image.height)
    elif row.prediction is not None:
        _draw_points(pen, row.prediction)
    mark = PngInfo()
    mark.add_text("Software", DRAWN)  # so that a later run does not take the copy for an image
    target = _copy_of(row.name, folder)
    write_whole(target, lambda new: image.save(new, format="PNG", compress_level=1, pnginfo=mark), durable=False)


class Pen:
    """Draws on an image, and writes in whatever alphabet.

    Args:
        draw: what draws on the image.
        text_px: the letters' size.
    """

    def __init__(self, draw: ImageDraw.ImageDraw, text_px: int) -> None:
        self.draw = draw
        self.text_px = text_px
        self._fonts: dict[str, ImageFont.FreeTypeFont] = {}
        self.ascent_px, self.descent_px = self._font(DEJAVU).getmetrics()

    def length(self, text: str) -> float:
        """Return how long a line is, in pixels."""
        return sum(self._font(file).getlength(part) for file, part in runs(text, fonts_for([text])))

    def write(self, x: float, top: float, text: str, **style: Any) -> None:  # noqa: ANN401 - as Pillow's own
        """Write a line, with the font for each part of it that has its letters."""
        for file, part in runs(text, fonts_for([text])):
            font = self._font(file)
            self.draw.text((x, top + self.ascent_px), part, font=font, anchor="ls", **style)
            x += font.getlength(part)

    def _font(self, file: str) -> ImageFont.FreeTypeFont:
        if file not in self._fonts:
            self._fonts[file] = ImageFont.truetype(file, self.text_px)
        return self._fonts[file]


def _draw_labels(pen: Pen, prediction: LabelPrediction, height: int) -> None:
    """Write the chosen labels with their probabilities from the top left down, as many as there is room for."""
    by_label = dict(zip(prediction.vocab, prediction.probabilities, strict=True))
    lines = [f"{_one_line(label)} {by_label[label]:.2f}" for label in prediction.labels] or ["nothing found"]
    margin, step = pen.text_px // 3, round(pen.text_px * 1.35)
    for i, line in enumerate(lines[: max(1, (height - margin) // step)]):
        top = margin + i * step
        pen.draw.rectangle((margin, top, 3 * margin + pen.length(line), top + step - 2), fill=(*_DARK, 190))
        pen.write(2 * margin, top + (step - 2 - pen.ascent_px - pen.descent_px) / 2, line, fill=_WHITE)


def _draw_points(pen: Pen, prediction: PointPrediction) -> None:
    """Draw a dot at each point, with its name where they are few."""
    few = len(prediction.point_names) < _FEW_POINTS
    radius = max(2.0, pen.text_px / (3 if few else 8))
    for name, (x, y) in zip(prediction.point_names, prediction.points_px.tolist(), strict=True):
        # Pillow counts from the corner of the top-left pixel, we from its centre.
        x, y = x + 0.5, y + 0.5
        box = (x - radius, y - radius, x + radius, y + radius)
        pen.draw.ellipse(box, fill=_GREEN, outline=_WHITE, width=2 if few else 1)
        if few:
            top = y - (pen.ascent_px + pen.descent_px) / 2
            pen.write(x + 1.5 * radius, top, _one_line(name), fill=_WHITE, stroke_width=2, stroke_fill=_DARK)


def _one_line(text: str) -> str:
    return drawable(" ".join(text.split()))
