"""Draws a small data set in PASCAL's own format: no network, no licence, and learnt in a minute."""

from pathlib import Path

import numpy as np

from lightning_tasks.data.download.atomic_folder import atomic_folder, is_there
from lightning_tasks.data.drawn_image import noisy_background, write_image
from lightning_tasks.data.images.decode import Image
from lightning_tasks.data.images.opencv import cv2

SHAPES = ("circle", "cross", "ring", "square", "triangle")


_HUES = (0, 30, 60, 100, 140)  # OpenCV's hue of each shape, give or take


def draw_pascal(root: Path, n: int = 400, seed: int = 0) -> None:
    """Draw `n` images of up to three coloured shapes each: `train/*.jpg` and `train.csv`, a quarter `is_valid`.

    One image in twenty shows none of them. The folder appears complete or not at all; one that is there stays.
    """
    rng = np.random.default_rng(seed)
    with atomic_folder(root) as folder:
        if is_there(root):
            return
        (folder / "train").mkdir()
        lines = ["fname,labels,is_valid"]
        for i in range(n):
            count = 0 if i % 20 == 19 else int(rng.integers(1, 4))
            shapes = sorted(rng.choice(len(SHAPES), size=count, replace=False))
            image = noisy_background(rng, 128, 160)
            for shape in shapes:
                _draw_shape(image, SHAPES[shape], _HUES[shape], rng)
            name = f"{i:06d}.jpg"
            write_image(folder / "train" / name, image)
            lines.append(f"{name},{' '.join(SHAPES[shape] for shape in shapes)},{i % 4 == 3}")
        (folder / "train.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _draw_shape(image: Image, shape: str, hue: int, rng: np.random.Generator) -> None:
    height, width = image.shape[:2]
    r = int(rng.integers(12, 26))
    x, y = (int(rng.integers(r, side - r)) for side in (width, height))
    hsv = np.array([[[(hue + rng.integers(-6, 7)) % 180, rng.integers(170, 256), rng.integers(170, 256)]]], np.uint8)
    colour = tuple(int(c) for c in cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0])
    if shape == "circle":
        cv2.circle(image, (x, y), r, colour, -1, cv2.LINE_AA)
    elif shape == "ring":
        cv2.circle(image, (x, y), r - 3, colour, 6, cv2.LINE_AA)
    elif shape == "square":
        cv2.rectangle(image, (x - r, y - r), (x + r, y + r), colour, -1)
    elif shape == "triangle":
        cv2.fillPoly(image, [np.array([(x, y - r), (x - r, y + r), (x + r, y + r)])], colour, cv2.LINE_AA)
    else:
        cv2.line(image, (x - r, y), (x + r, y), colour, 8)
        cv2.line(image, (x, y - r), (x, y + r), colour, 8)
