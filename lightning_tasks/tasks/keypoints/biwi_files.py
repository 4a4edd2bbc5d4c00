"""BIWI Kinect Head Pose: pose and calibration files to rows.

24 sequences of 20 people (4 were recorded twice), 15,678 frames of 640×480. A frame is `NN/frame_MMMMM_rgb.jpg`
with `NN/frame_MMMMM_pose.txt`; each sequence has `rgb.cal` and `depth.cal`. In the authors' own archive the images
are `.png`, the sequences lie in a folder of their own (`hpdb`), and there are depths and meshes, which are not read.

Source: Fanelli, Dantone, Gall, Fossati, Van Gool, "Random Forests for Real Time 3D Face Analysis", IJCV 101(3), 2013.
License: for non-commercial use such as research and education.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from lightning_tasks.errors import DatasetNotFoundError, TableError
from lightning_tasks.filesystem import is_file, is_folder, why_missing

LabelFrame = Literal["fastbook", "calibrated"]
Array = NDArray[np.float64]

_PEOPLE = [*(f"F{number:02d}" for number in range(1, 7)), *(f"M{number:02d}" for number in range(1, 9))]  # of 01 to 14
_PEOPLE += ["F03", "M09", "M10", "F05", "M11", "M12", "F02", "M01", "M13", "M14"]  # of 15 to 24
# Sequence → person. Splitting 15, 18, 21 or 22 from 03, 05, 02 or 07 would show a person in both splits.
PERSON_OF_SEQUENCE = {f"{number:02d}": person for number, person in enumerate(_PEOPLE, start=1)}
_IMAGE_SUFFIXES = (".jpg", ".png")


@dataclass(frozen=True)
class Calibration:
    """A camera: how it sees, and how it stands to the depth camera."""

    intrinsics: Array  # (3, 3), focal lengths and centre in pixels
    rotation: Array  # (3, 3), from the depth camera's frame to this one's
    translation_mm: Array  # (3,)
    image_size_px: tuple[int, int]  # width, height


def read_pose(path: Path) -> tuple[Array, Array]:
    """Return the head's rotation (3, 3) and its centre (3,) in mm, in the depth camera's frame."""
    numbers = _read_numbers(path, [3, 3, 3, 3])
    return np.stack(numbers[:3]), numbers[3]


def read_calibration(path: Path) -> Calibration:
    """Return the camera of an `rgb.cal` or `depth.cal`.

    Raises:
        DatasetNotFoundError: there is no such file.
        TableError: it is cut short or holds something other than numbers.
    """
    if not is_file(path):
        raise DatasetNotFoundError(
            f"There is no calibration file {path}{why_missing(path)}. Restore it from the archive."
        )
    numbers = _read_numbers(path, [3, 3, 3, 4, 3, 3, 3, 3, 2])
    width, height = numbers[8]
    return Calibration(np.stack(numbers[:3]), np.stack(numbers[4:7]), numbers[7], (int(width), int(height)))


def project_fastbook(centre_mm: Array, intrinsics: Array) -> Array:
    """Project (..., 3) millimetres of the depth frame to (..., 2) pixels as fastai's chapter does.

    fastai leaves out the way from the depth camera to the RGB camera, so its labels are some 14 px off at a metre.
    """
    projected = centre_mm @ intrinsics.T
    return np.asarray(projected[..., :2] / projected[..., 2:])


def project_calibrated(centre_mm: Array, camera: Calibration) -> Array:
    """Project (..., 3) millimetres of the depth frame to (..., 2) pixels of `camera`: `E·p + t`, then intrinsics."""
    return project_fastbook(centre_mm @ camera.rotation.T + camera.translation_mm, camera.intrinsics)


def read_biwi(root: Path, label_frame: LabelFrame) -> pd.DataFrame:
    """Return one row for each frame: `fname` (in root), `group` (the person), `sequence`, `head_x`, `head_y` in pixels.

    The sequences' folders lie in root or in a folder there, such as `hpdb`. For `label_frame` see the two projections.

    Raises:
        DatasetNotFoundError: no sequences, or a sequence without frames, calibration or images.
        TableError: a pose or calibration file cannot be used.
    """
    folder = _find_sequences(root)
    frames = []
    for sequence in tqdm(_sequences(folder), desc="reading poses", leave=False, disable=None):
        poses = sorted((folder / sequence).glob("frame_*_pose.txt"))
        if not poses:
            raise DatasetNotFoundError(f"{folder / sequence} holds no frame_*_pose.txt. Restore or remove it.")
        centres_mm = np.stack([read_pose(pose)[1] for pose in poses])
        if label_frame == "fastbook":
            camera = read_calibration(folder / "01" / "rgb.cal")  # fastai projects every sequence with this one's
            points_px = project_fastbook(centres_mm, camera.intrinsics)
        else:
            points_px = project_calibrated(centres_mm, read_calibration(folder / sequence / "rgb.cal"))
        names = {"fname": _images(root, folder / sequence, poses), "group": PERSON_OF_SEQUENCE[sequence]}
        places = {"sequence": sequence, "head_x": points_px[:, 0], "head_y": points_px[:, 1]}
        frames.append(pd.DataFrame(names | places))
    return pd.concat(frames, ignore_index=True)


def _find_sequences(root: Path) -> Path:
    if _sequences(root):
        return root
    # By their cameras: the authors' annotations and masks come in folders of the same names.
    for folder in sorted(camera.parents[1] for camera in root.glob("*/[0-2][0-9]/rgb.cal")):
        if _sequences(folder):
            return folder
    raise DatasetNotFoundError(
        f"There is no BIWI sequence (a folder 01 to 24) in {root}, nor in a folder in it. Check data.root."
    )


def _sequences(folder: Path) -> list[str]:
    return [name for name in PERSON_OF_SEQUENCE if is_folder(folder / name)]


def _images(root: Path, sequence: Path, poses: list[Path]) -> list[str]:
    present = {path.name for path in sequence.iterdir()}
    names = []
    for pose in poses:
        stem = pose.name.removesuffix("_pose.txt") + "_rgb"
        name = next((stem + suffix for suffix in _IMAGE_SUFFIXES if stem + suffix in present), None)
        if name is None:
            raise DatasetNotFoundError(f"{pose} has no image {stem}.jpg or .png beside it. Restore it, or remove both.")
        names.append(f"{sequence.relative_to(root).as_posix()}/{name}")
    return names


def _read_numbers(path: Path, counts: list[int]) -> list[Array]:
    """Read the file's filled lines, each with its count of numbers, as `counts` says."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(f"{path}: cannot be read as text ({error}). Restore it from the archive.") from error
    filled = [(row, line.split()) for row, line in enumerate(lines, start=1) if line.strip()]
    if len(filled) < len(counts):
        raise TableError(
            f"{path}: cut short: {len(filled)} of {len(counts)} lines of numbers. Restore it from the archive."
        )
    numbers = []
    for (row, cells), count in zip(filled, counts, strict=False):
        try:
            values = np.array([float(cell) for cell in cells])
        except ValueError:
            values = np.array([np.nan])
        if not np.isfinite(values).all() or len(values) != count:
            raise TableError(
                f"{path}: row {row}: expected {count} numbers, found {' '.join(cells)!r}. Restore it from the archive."
            )
        numbers.append(values)
    return numbers
