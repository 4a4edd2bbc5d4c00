"""A config for somebody's own table of points."""

from collections.abc import Sequence

import numpy as np

from lightning_tasks.data.images.decode import Size
from lightning_tasks.tasks.config_draft import ConfigDraft, OwnTable, describe_columns
from lightning_tasks.tasks.keypoints.table import point_columns, point_names, point_positions, read_keypoint_table

_SHORTER_SIDE = 240  # of BIWI's images in fastai's chapter
_STEP = 32  # networks shrink images by it
_SIDES = (("left", "right"), ("_l", "_r"), ("l_", "r_"))


def draft_points(own: OwnTable) -> ConfigDraft:
    """Return what a config says of a table with points; errors: see `read_keypoint_table`."""
    table = read_keypoint_table(own.path)
    names = point_names(table)
    annotated = ~np.isnan(point_positions(table)).any(-1)
    hidden = "an empty cell, or 0 in <point>_v, is a point that is not annotated"
    counts = f"{len(names):,} points, {annotated.mean():.1%} of them annotated; {hidden}"
    columns = describe_columns(own.path, table, point_columns(table))
    draft = ConfigDraft({"size": _training_size(own.sizes)}, {"csv": [*columns, counts], "size": ["height and width"]})
    if len(names) > 1:
        pairs = _pairs(names)
        draft.arguments["swap_pairs"] = pairs or None
        draft.comments["swap_pairs"] = (
            ["points that change places in a mirrored image, by their names: check them, the order matters not"]
            if pairs
            else ["images are not mirrored, as no points are named that would change places: [[left, right], ...]"]
        )
    return draft


def _training_size(sizes: Sequence[Size]) -> list[int]:
    """Return the images' own shape, in steps that networks shrink by."""
    height, width = np.median(np.array(sizes or [(240, 320)]), axis=0)
    scale = min(_SHORTER_SIDE, min(height, width)) / min(height, width)
    return [max(_STEP, int(round(side * scale / _STEP) * _STEP)) for side in (height, width)]


def _pairs(names: Sequence[str]) -> list[list[str]]:
    if list(names) == [f"p{i:02d}" for i in range(68)]:
        return [[f"p{a:02d}", f"p{b:02d}"] for a, b in _FACE_68]
    others = {name: [name.replace(*sides) for sides in _SIDES] for name in names}
    found = {name: [other for other in others[name] if other != name and other in names] for name in names}
    return [[name, other[0]] for name, other in found.items() if other]


# Left and right of the usual 68 points of a face, as in the config face68.
_FACE_68 = (
    *((i, 16 - i) for i in range(8)),
    *((17 + i, 26 - i) for i in range(5)),
    *((31, 35), (32, 34)),
    *((36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)),
    *((48, 54), (49, 53), (50, 52), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67)),
)
