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
from lightning_tasks.data.images.decode import MAX_PIXELS, read_image
from lightning_tasks.deploy.prediction_table import Row
from lightning_tasks.errors import ConfigError, LightningTasksError
from lightning_tasks.filesystem import is_file, is_folder
from lightning_tasks.reports.canvas import Canvas
from lightning_tasks.reports.figure_file import DRAWN, is_drawn


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
