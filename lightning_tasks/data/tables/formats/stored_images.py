"""Images that annotations themselves hold, written to a folder."""

from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

from PIL import Image

from lightning_tasks.data.download.atomic_folder import atomic_folder, is_there
from lightning_tasks.errors import TableError
from lightning_tasks.filesystem import is_file

_ENDINGS = {"JPEG": ".jpg", "MPO": ".jpg", "TIFF": ".tif", "JPEG2000": ".jp2"}  # others are called as their format


def write_stored_images(target: Path, images: Iterable[tuple[str, bytes, str]]) -> dict[str, str]:
    """Write images to a new folder, all of them or none; where it has been made already, it stays.

    Args:
        target: the folder.
        images: a name without its ending, the bytes, and where they come from.

    Returns:
        The file's name of each name.

    Raises:
        TableError: bytes are no image, or the folder is there and holds something else.
    """
    names: dict[str, str] = {}
    with atomic_folder(target) as new:
        was_there = is_there(target)
        for name, content, where in images:
            names[name] = name + _ending(content, where)
            if not was_there:
                (new / names[name]).write_bytes(content)
                continue
            file = target / names[name]
            if not is_file(file) or file.stat().st_size != len(content):
                raise TableError(f"{target} is there already, and does not hold the image of {where}. Move it.")
    return names


def _ending(content: bytes, where: str) -> str:
    try:
        with Image.open(BytesIO(content)) as image:
            kind = image.format or ""
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise TableError(f"{where}: these bytes are no image. Take the row out, or get the file anew.") from error
    return _ENDINGS.get(kind, f".{kind.lower()}")
