"""The walk-through runs from nothing, and shows what the chapter leaves in the dark."""

import re
from pathlib import Path

import numpy as np
import pytest

from lightning_tasks import BiwiDataModule
from lightning_tasks.data.images.opencv import cv2
from lightning_tasks.tasks.keypoints.biwi_files import read_calibration, read_pose
from tests.fakes import draw_biwi, draw_pascal
from tests.scripts import run_script

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "walkthrough.py"


@pytest.mark.parametrize("drawn", ["some", pytest.param("all", marks=pytest.mark.slow)])
def test_every_step_runs_on_drawn_images(drawn, tmp_path):
    """On fewer than it draws where there are none."""
    nothing = "0.6600"
    if drawn == "some":
        nothing = r"0\.\d{4}"
        draw_pascal(tmp_path / "walkthrough" / "pascal_sample", n=120)
        draw_biwi(tmp_path / "walkthrough" / "biwi_sample", frames=8)
    short = ["--backbone", "test_resnet", "--frozen_epochs", "1", "--epochs", "1", "--steps", "25"]
    done = run_script("walkthrough.py", *short, folder=tmp_path)
    for line in (
        "5 labels: circle, cross, ring, square, triangle",
        "images (16, 3, 96, 96) torch.uint8, targets (16, 5)",
        "activations (16, 5)",
        "images (16, 3, 120, 160), points (16, 1, 2)",
    ):
        assert line in done.stdout
    assert re.search(f"predicting nothing: {nothing}", done.stdout)
    hand, with_logits = re.search(r"loss by hand (\S+), BCEWithLogits (\S+)", done.stdout).groups()
    assert float(hand) == pytest.approx(float(with_logits), abs=1e-5)
    assert len(re.findall("learning rates   valley", done.stdout)) == 2
    assert len(re.findall(r"accuracy_multi at 0\.\d+: 0\.\d{4}", done.stdout)) == 4
    assert float(re.search(r"the two label frames are (\S+) px apart", done.stdout)[1]) == pytest.approx(14, abs=1)
    images = re.findall(r"\[image: (\S+)\]", done.stdout)
    assert len(images) == 5
    assert all((tmp_path / image).stat().st_size > 5_000 for image in images)


def test_it_opens_as_a_notebook():
    cells = SCRIPT.read_text().split("# %%")[1:]
    assert len(cells) > 20
    code = [cell for cell in cells if not cell.startswith(" [markdown]")]
    for cell in code:
        compile(cell, "cell", "exec")  # each is whole by itself


def dots(root):
    """Overwrite the drawn frames by black ones with a white dot where OpenCV's own model of a camera sees the head."""
    for pose in root.rglob("frame_*_pose.txt"):
        camera = read_calibration(pose.parent / "rgb.cal")
        turn = cv2.Rodrigues(camera.rotation)[0]
        _, centre_mm = read_pose(pose)
        seen = cv2.projectPoints(centre_mm[None], turn, camera.translation_mm, camera.intrinsics, None)[0].ravel()
        shift = 4  # sixteenths of a pixel
        image = np.zeros((480, 640), np.uint8)
        cv2.circle(image, [round(value * 2**shift) for value in seen], 6 * 2**shift, 255, -1, cv2.LINE_AA, shift)
        cv2.imwrite(str(pose).replace("_pose.txt", "_rgb.jpg"), image)


def detected(path):
    """The dot's centre of mass: a detector without a fault."""
    moments = cv2.moments(np.where(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) > 40, 1, 0).astype(np.uint8), True)
    return np.array([moments["m10"], moments["m01"]]) / moments["m00"]


@pytest.mark.parametrize(("frame", "least_px", "most_px"), [("fastbook", 12, 16), ("calibrated", 0, 0.3)])
def test_a_detector_without_a_fault_seems_some_14_px_off_by_the_books_labels(tmp_path, frame, least_px, most_px):
    draw_biwi(tmp_path / "biwi", frames=5)
    dots(tmp_path / "biwi")
    table = BiwiDataModule(str(tmp_path / "biwi"), label_frame=frame).table
    found = np.stack([detected(tmp_path / "biwi" / name) for name in table["fname"]])
    error_px = np.linalg.norm(found - table[["head_x", "head_y"]].to_numpy(), axis=1)
    assert least_px <= np.median(error_px) <= most_px
