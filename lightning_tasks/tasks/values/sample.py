"""Draws a small data set of numbers: no network, no licence, and learnt in a minute."""

from pathlib import Path

import numpy as np

from lightning_tasks.data.download.atomic_folder import atomic_folder, is_there
from lightning_tasks.data.drawn_image import noisy_background, write_image
from lightning_tasks.data.images.opencv import cv2

_HEIGHT, _WIDTH = 96, 128
_MOST_DISCS = 8
_RADIUS_PX = (5, 14)


def draw_values(root: Path, n: int = 400, seed: int = 0) -> None:
    """Draw `n` images of up to eight discs: `images/*.jpg`, and `values.csv` with `discs` and `covered_percent`.

    A quarter is `is_valid`; one cell in twenty of `discs` is empty. The folder appears complete or not at all; one that
    is there stays.
    """
    rng = np.random.default_rng(seed)
    with atomic_folder(root) as folder:
        if is_there(root):
            return
        (folder / "images").mkdir()
        lines = ["fname,is_valid,discs,covered_percent"]
        for i in range(n):
            image = noisy_background(rng, _HEIGHT, _WIDTH)
            covered = np.zeros((_HEIGHT, _WIDTH), np.uint8)
            discs = int(rng.integers(0, _MOST_DISCS + 1))
            for _ in range(discs):
                radius = int(rng.integers(*_RADIUS_PX))
                centre = (int(rng.integers(radius, _WIDTH - radius)), int(rng.integers(radius, _HEIGHT - radius)))
                colour = (int(rng.integers(200, 256)), int(rng.integers(0, 60)), int(rng.integers(0, 60)))
                cv2.circle(image, centre, radius, colour, -1, cv2.LINE_AA)
                cv2.circle(image, centre, radius, (20, 10, 10), 1, cv2.LINE_AA)
                cv2.circle(covered, centre, radius, 1, -1)
            name = f"images/{i:06d}.jpg"
            write_image(folder / name, image)
            lines.append(f"{name},{i % 4 == 3},{'' if i % 20 == 19 else discs},{100 * covered.mean():.2f}")
        (folder / "values.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
