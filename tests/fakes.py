"""Tiny data sets, written in the true formats."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lightning_tasks.data.opencv import cv2
from lightning_tasks.data.sample import draw_biwi, draw_pascal

__all__ = [
    "FLAGS",
    "LABELS",
    "POINTS",
    "draw_biwi",
    "draw_pascal",
    "write_image",
    "write_multilabel",
    "write_points",
    "write_pose",
]

# Eight pictures with labels, and with two points; the last two are for validation.
LABELS = ["fname,labels,is_valid", *(f"{i}.jpg,{'cat' if i % 2 else 'dog'},{i >= 6}" for i in range(8))]
POINTS = ["fname,is_valid,l_x,l_y,r_x,r_y", *(f"{i}.jpg,{i >= 6},5,6,{9 + i},7" for i in range(8))]

# Tiny, quiet runs on the CPU.
FLAGS = [
    *("--data.num_workers", "0"),
    *("--model.backbone", "test_resnet"),
    *("--trainer.accelerator", "cpu"),
    *("--trainer.enable_progress_bar", "false"),
]


def write_image(path: Path, size: tuple[int, int] = (24, 32), seed: int = 0) -> None:
    """Write a picture of random pixels of `size` (height, width)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    path.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())


def write_multilabel(root: Path, lines: Sequence[str], n_images: int = 8) -> Path:
    """Write `labels.csv` of `lines` and the pictures 0.jpg to (n_images - 1).jpg; return the csv."""
    for i in range(n_images):
        write_image(root / f"{i}.jpg", seed=i)
    (root / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root / "labels.csv"


def write_points(root: Path, lines: Sequence[str], n_images: int = 8) -> Path:
    """Write `points.csv` of `lines` and the pictures 0.jpg to (n_images - 1).jpg; return the csv."""
    write_multilabel(root, [], n_images)
    (root / "labels.csv").unlink()
    (root / "points.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root / "points.csv"


def write_pose(path: Path, centre_mm: Sequence[float]) -> None:
    """Write a pose file with the identity as rotation."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"1 0 0 \n0 1 0 \n0 0 1 \n\n{' '.join(map(str, centre_mm))} \n", encoding="ascii")
