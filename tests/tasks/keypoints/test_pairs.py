"""Which points change places in a mirrored image."""

import numpy as np
import pytest
import yaml

from lightning_tasks.tasks.keypoints.pairs import find_mirroring
from tests.conftest import CONF

COCO = ["nose", *(f"{side}_{part}" for part in ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
                  for side in ("left", "right"))]  # fmt: skip
FACE = {tuple(pair) for pair in yaml.safe_load((CONF / "face68.yaml").read_text())["data"]["init_args"]["swap_pairs"]}


def pairs(names, points_px=None):
    return find_mirroring(names, np.zeros((1, len(names), 2)) if points_px is None else points_px).pairs


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["left_eye", "right_eye", "nose"], [("left_eye", "right_eye")]),
        (["lefteye", "righteye", "nose"], [("lefteye", "righteye")]),
        (["RightEye", "LeftEye"], [("RightEye", "LeftEye")]),
        (["Left Eye", "Right Eye"], [("Left Eye", "Right Eye")]),
        (["LEFT_A", "RIGHT_A"], [("LEFT_A", "RIGHT_A")]),
        (["left", "right"], [("left", "right")]),
        (["l_hand", "r_hand"], [("l_hand", "r_hand")]),
        (["L_hand", "R_hand"], [("L_hand", "R_hand")]),
        (["hand.l", "hand.r"], [("hand.l", "hand.r")]),
        (["LShoulder", "RShoulder", "Neck"], [("LShoulder", "RShoulder")]),
        (["kneeL", "kneeR"], [("kneeL", "kneeR")]),
        (["r ankle", "l ankle"], [("r ankle", "l ankle")]),
        (["left_eye_left", "left_eye_right", "right_eye_left", "right_eye_right"],
         [("left_eye_left", "right_eye_right"), ("left_eye_right", "right_eye_left")]),
        (COCO, list(zip(COCO[1::2], COCO[2::2], strict=True))),
        (["head"], []),
        (["l", "r"], None),
        (["a", "b"], None),
        (["lear", "rear"], None),
        (["upper_lip", "lower_lip"], None),
        (["left_eye", "right_eye", "left_ear"], None),  # an ear that would become the other one
        ([f"p{i}" for i in range(67)], None),
        ([f"p{i}" for i in range(1, 68)] + ["p70"], None),
    ],
)  # fmt: skip
def test_names_tell(names, wanted):
    assert pairs(names) == wanted


def face(n=20):
    """A drawn face: each pair on both sides of x 0, the rest near it; the whole turned aside in each image."""
    rng = np.random.default_rng(0)
    points = rng.normal(0, 0.1, (n, 68, 2))
    for a, b in ((int(a[1:]), int(b[1:])) for a, b in FACE):
        points[:, [a, b], 0] += [-5, 5] if a < 30 else [3, -3]
    return points + rng.normal(0, 30, (n, 1, 2))


@pytest.mark.parametrize("name", ["p{:02d}", "{}", "landmark_{}"])
@pytest.mark.parametrize("first", [0, 1])
def test_68_numbered_points_are_a_faces_where_they_lie_like_one(name, first):
    names = [name.format(i + first) for i in range(68)]
    found = find_mirroring(names, face())
    assert set(found.pairs) == {(names[int(a[1:])], names[int(b[1:])]) for a, b in FACE}
    assert found.between == (names[36], names[45])
    assert "100.0% of the cases" in found.why


def test_68_other_points_are_not_a_faces():
    names, shuffled = [f"p{i:02d}" for i in range(68)], np.random.default_rng(0).permutation(68)
    found = find_mirroring(names, face()[:, shuffled])
    assert (found.pairs, found.between) == (None, None)
    assert "not mirrored" in found.why
    assert pairs([names[i] for i in shuffled], face()[:, shuffled]) is not None  # by number, in whatever order


def test_positions_that_are_not_annotated_say_nothing():
    points = face()
    points[:10, :30] = points[10:12] = np.nan
    assert pairs([f"p{i:02d}" for i in range(68)], points) is not None
    assert pairs([f"p{i:02d}" for i in range(68)], np.full((2, 68, 2), np.nan)) is not None
