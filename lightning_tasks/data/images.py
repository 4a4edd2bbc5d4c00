"""From a file to pixels."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lightning_tasks.data.opencv import cv2
from lightning_tasks.errors import ImageError

Image = NDArray[np.uint8]  # (H, W, 3) RGB
Size = tuple[int, int]  # height, width


def read_image(path: Path) -> Image:
    """Return the picture as (H, W, 3) uint8 RGB, turned as its EXIF orientation says.

    Raises:
        ImageError: the file is missing, empty or no picture that OpenCV reads.
    """
    try:
        data = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror}). Restore the file or take its row out.") from error
    image = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB) if data.size else None
    if image is None:
        what = "is empty" if not data.size else "is not a picture that can be decoded (cut short, or another format)"
        raise ImageError(f"{path}: {what}. Replace the file or take its row out of the table.")
    return np.asarray(image, dtype=np.uint8)
