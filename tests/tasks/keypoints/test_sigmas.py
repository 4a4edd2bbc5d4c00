"""Sigmas of points by their names."""

import numpy as np
import pytest
from pycocotools.cocoeval import Params

from lightning_tasks.__main__ import console
from lightning_tasks.tasks.keypoints.sigmas import find_sigmas
from tests.fakes import write_points

SIDED = ["eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"]
COCO = ["nose", *(f"{side}_{part}" for part in SIDED for side in ("left", "right"))]


def test_they_are_pycocotools_own():
    np.testing.assert_allclose(find_sigmas(COCO), Params("keypoints").kpt_oks_sigmas)


@pytest.mark.parametrize("names", [["nose", "tail"], ["p00"]])
def test_other_points_have_none(names):
    assert find_sigmas(names) is None


def test_init_writes_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_points(tmp_path, ["fname,nose_x,nose_y,left_eye_x,left_eye_y", "0.jpg,1,2,3,4", "1.jpg,1,2,3,4"])
    assert console(["init", "points.csv"]) == 0
    config = (tmp_path / "points.yaml").read_text()
    assert "# COCO's sigmas of these points, for OKS, in their order: [0.026, 0.025]" in config
