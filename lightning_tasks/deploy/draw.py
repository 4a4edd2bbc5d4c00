"""Copies of images with what is predicted drawn on them."""

import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image as Pillow
from PIL.PngImagePlugin import PngInfo

from lightning_tasks.atomic_write import write_whole
from lightning_tasks.cores import usable_cores
from lightning_tasks.data.images.decode import read_image
from lightning_tasks.deploy.prediction_table import Row
from lightning_tasks.deploy.sources import Found
from lightning_tasks.errors import ConfigError, LightningTasksError
from lightning_tasks.filesystem import is_file, is_folder
from lightning_tasks.reports.canvas import Canvas
from lightning_tasks.reports.figure_file import DRAWN, is_drawn


def check_folder(folder: Path, images: Sequence[Found]) -> None:
    """Make a folder for copies of images; ConfigError where it cannot be, or a copy would take a file's place."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        what = "written to" if is_folder(folder) else "made"
        raise ConfigError(f"{folder} cannot be {what} ({error.strerror}). Name another folder: --annotate.") from error
    inputs = {os.path.abspath(image.path) for image in images}  # noqa: PTH100 - resolve() asks the disk
    for path, name in images:
        copy = _copy_of(name, folder)
        if os.path.abspath(copy) in inputs:  # noqa: PTH100 - likewise
            which = "is to be predicted too"
        elif is_file(copy) and not is_drawn(copy):
            which = "this program has not drawn"
        else:
            continue
        raise ConfigError(
            f"The annotated copy of {path} would write over {copy}, which {which}. Name another folder: --annotate."
        )


def annotate_images(rows: Sequence[Row], folder: Path, max_pixels: int, white_level: int | None) -> list[str]:
    """Write a copy of each image that was predicted, under its name; return why any could not be written."""
    with ThreadPoolExecutor(usable_cores()) as pool:
        problems = pool.map(lambda row: _try_to_annotate(row, folder, max_pixels, white_level), rows)
        return [problem for problem in problems if problem is not None]


def _try_to_annotate(row: Row, folder: Path, max_pixels: int, white_level: int | None) -> str | None:
    if row.prediction is None:
        return None
    try:
        image = Pillow.fromarray(read_image(row.path, max_pixels, white_level))
        row.prediction.draw(Canvas(image))
        mark = PngInfo()
        mark.add_text("Software", DRAWN)  # so that a later run does not take the copy for an image
        copy = _copy_of(row.name, folder)
        write_whole(copy, lambda new: image.save(new, format="PNG", compress_level=1, pnginfo=mark), durable=False)
    except LightningTasksError as error:  # the disk is full, the name is too long, the image has gone
        return str(error)
    return None


def _copy_of(name: Path, folder: Path) -> Path:
    return (folder / name).with_name(f"{name.name}.png")
