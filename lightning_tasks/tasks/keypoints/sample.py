"""Draws a small data set in BIWI's own format: no network, no licence, and learnt in a minute."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lightning_tasks.data.download.atomic_folder import atomic_folder, is_there
from lightning_tasks.data.drawn_image import noisy_background, write_image
from lightning_tasks.data.images.decode import Image
from lightning_tasks.data.images.opencv import cv2
from lightning_tasks.tasks.keypoints.biwi_files import PERSON_OF_SEQUENCE, project_calibrated, read_calibration

SEQUENCES = ("01", "02", "05", "09", "12", "13", "17", "19")  # eight people; 13 is fastai's validation sequence
# The cameras of a real sequence: see PERSON_OF_SEQUENCE's module for the source.
_RGB_CAL = (
    "517.679 0 320\n0 517.679 240.5\n0 0 1\n\n0 0 0 0\n\n"
    "0.999947 0.00432361 0.00929419\n-0.00446314 0.999877 0.0150443\n-0.009228 -0.015085 0.999844\n\n"
    "-24.0198 5.8896 -13.2308\n\n640 480\n"
)
_DEPTH_CAL = "575.816 0 320\n0 575.816 240\n0 0 1\n\n0 0 0 0\n\n1 0 0\n0 1 0\n0 0 1\n\n0 0 0\n\n640 480\n"
_LOOKS = (((190, 140, 110), (241, 190, 160)), ((20, 15, 10), (120, 80, 50)), ((30, 30, 60), (160, 160, 220)))


def draw_biwi(root: Path, frames: int = 40, seed: int = 0) -> None:
    """Draw eight sequences of `frames` frames: images, poses and calibration files.

    The heads stand where the true cameras show them, so `calibrated` labels sit on them and fastai's do not. The
    folder appears complete or not at all; one that is there stays.
    """
    rng = np.random.default_rng(seed)
    with atomic_folder(root) as folder:
        if is_there(root):
            return
        for sequence in SEQUENCES:
            (folder / sequence).mkdir()
            (folder / sequence / "rgb.cal").write_text(_RGB_CAL, encoding="ascii")
            (folder / sequence / "depth.cal").write_text(_DEPTH_CAL, encoding="ascii")
            camera = read_calibration(folder / sequence / "rgb.cal")
            person = sorted(set(PERSON_OF_SEQUENCE.values())).index(PERSON_OF_SEQUENCE[sequence])
            room = noisy_background(rng, 480, 640)
            for frame in range(frames):
                centre_mm = rng.uniform((-220, -130, 800), (220, 130, 1150))
                rotation = _rotation(*np.radians(rng.uniform(-1, 1, 3) * (50, 25, 15)))
                stem = folder / sequence / f"frame_{frame:05d}"
                _write_pose(stem.with_name(stem.name + "_pose.txt"), rotation, centre_mm)
                centre_px = project_calibrated(centre_mm, camera)
                radius_px = 95 * camera.intrinsics[0, 0] / centre_mm[2]
                image = _draw_head(room.copy(), centre_px, radius_px, rotation, person)
                write_image(stem.with_name(stem.name + "_rgb.jpg"), image)


def _draw_head(
    image: Image, centre_px: NDArray[np.float64], radius_px: float, rotation: NDArray[np.float64], person: int
) -> Image:
    """Draw shoulders, an oval face and, by the rotation, hair, eyes, nose and mouth."""
    looks = np.random.default_rng(person)
    skin, hair, shirt = (tuple(int(c) for c in looks.integers(low, high)) for low, high in _LOOKS)
    x, y = centre_px
    axes = (round(radius_px * 0.78), round(radius_px))
    tilt = float(np.degrees(np.arctan2(rotation[1, 0], rotation[0, 0])))
    cv2.ellipse(
        image, (round(x), round(y + 2.6 * radius_px)), (axes[0] * 3, round(axes[1] * 1.5)), 0, 0, 360, shirt, -1
    )
    cv2.rectangle(
        image, (round(x - axes[0] / 2), round(y)), (round(x + axes[0] / 2), round(y + 1.4 * axes[1])), skin, -1
    )
    cv2.ellipse(image, (round(x), round(y - 0.18 * radius_px)), axes, tilt, 0, 360, hair, -1, cv2.LINE_AA)
    cv2.ellipse(image, (round(x), round(y)), axes, tilt, 0, 360, skin, -1, cv2.LINE_AA)
    cv2.ellipse(image, (round(x), round(y)), axes, tilt, 200, 340, hair, -1, cv2.LINE_AA)
    dark, red = (30, 25, 25), (150, 60, 60)
    # Features on the front of a ball, in the head's frame: x to the side, y down, −z towards the camera.
    features = ((-0.35, -0.1, 0.09, dark), (0.35, -0.1, 0.09, dark), (0, 0.15, 0.06, red), (0, 0.5, 0.12, red))
    for side, down, size, colour in features:
        front = np.array([side, down, -np.sqrt(max(0.0, 1 - side**2 - down**2))])
        px, py, depth = rotation @ front
        if depth < 0:
            at = (round(x + px * axes[0]), round(y + py * axes[1]))
            cv2.circle(image, at, max(2, round(size * radius_px)), colour, -1, cv2.LINE_AA)
    return image


def _rotation(yaw: float, pitch: float, roll: float) -> NDArray[np.float64]:
    vectors = np.array([[0, yaw, 0], [pitch, 0, 0], [0, 0, roll]])
    y, x, z = (cv2.Rodrigues(vector)[0] for vector in vectors)
    return np.asarray(z @ y @ x)


def _write_pose(path: Path, rotation: NDArray[np.float64], centre_mm: NDArray[np.float64]) -> None:
    rows = [" ".join(f"{value:.6g}" for value in row) for row in (*rotation, centre_mm)]
    path.write_text("\n".join([*rows[:3], "", rows[3]]) + "\n", encoding="ascii")
