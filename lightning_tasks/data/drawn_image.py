"""What the drawn sample data sets share: a background, and how an image is written."""

from pathlib import Path

import numpy as np

from lightning_tasks.data.images.decode import Image
from lightning_tasks.data.images.opencv import cv2


def noisy_background(rng: np.random.Generator, height: int, width: int) -> Image:
    """Return a smooth coloured background with noise, (height, width, 3) uint8 RGB."""
    coarse = rng.integers(60, 200, (5, 6, 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    grey = cv2.cvtColor(cv2.cvtColor(smooth, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    mixed = cv2.addWeighted(smooth, 0.3, grey, 0.7, 0)
    noise = rng.integers(-10, 11, (height, width, 1))
    return np.asarray(np.clip(mixed.astype(np.int16) + noise, 0, 255), dtype=np.uint8)


def write_image(path: Path, image: Image) -> None:
    """Write an RGB image in the format that the suffix names."""
    encoded = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
    path.write_bytes(encoded.tobytes())
