"""How far annotators place a point from one another, as a share of the object's size, where its name tells.

Source: the COCO keypoint evaluation, `sigmas`; pycocotools has the same.
"""

from collections.abc import Sequence

_PAIRS = {
    **{"eye": 0.025, "ear": 0.035, "shoulder": 0.079, "elbow": 0.072},
    **{"wrist": 0.062, "hip": 0.107, "knee": 0.087, "ankle": 0.089},
}
COCO_SIGMAS = {
    "nose": 0.026,
    **{f"{side}_{part}": sigma for part, sigma in _PAIRS.items() for side in ("left", "right")},
}


def find_sigmas(names: Sequence[str]) -> list[float] | None:
    """Return COCO's sigmas of points that all are called as COCO's are; None: one is not."""
    return [COCO_SIGMAS[name] for name in names] if set(names) <= set(COCO_SIGMAS) else None
