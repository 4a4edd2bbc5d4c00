"""A config for somebody's own table of points."""

import numpy as np

from lightning_tasks.tasks.config_draft import ConfigDraft, OwnTable, describe_columns
from lightning_tasks.tasks.keypoints.pairs import find_mirroring
from lightning_tasks.tasks.keypoints.recipe import point_recipe
from lightning_tasks.tasks.keypoints.sigmas import find_sigmas
from lightning_tasks.tasks.keypoints.table import point_columns, point_names, point_positions, read_keypoint_table
from lightning_tasks.tasks.recipe import Setting, training_rows


def draft_points(own: OwnTable) -> ConfigDraft:
    """Return what a config says of a table with points; errors: see `read_keypoint_table`."""
    table = read_keypoint_table(own.path)
    names, points_px = point_names(table), point_positions(table)
    annotated = ~np.isnan(points_px).any(-1)
    hidden = "an empty cell, or 0 in <point>_v, is a point that is not annotated"
    counts = f"{len(names):,} points, {annotated.mean():.1%} of them annotated; {hidden}"
    mirroring = find_mirroring(names, points_px)
    if own.swap_pairs:
        pairs = [(left, right) for left, right in own.swap_pairs]
        mirroring = mirroring._replace(
            pairs=pairs, why="points that change places in a mirrored image, as the data says"
        )
    recipe = point_recipe(own.wishes, training_rows(table), own.size, len(names), mirroring.pairs is not None)
    about = [*describe_columns(own.path, table, point_columns(table)), counts]
    if (sigmas := find_sigmas(names)) is not None:
        about.append(f"COCO's sigmas of these points, for OKS, in their order: {sigmas}")
    draft = ConfigDraft({}, {"csv": about}, recipe)
    if len(names) > 1:
        draft.arguments["swap_pairs"] = None if mirroring.pairs is None else [list(pair) for pair in mirroring.pairs]
        draft.comments["swap_pairs"] = [mirroring.why]
    if mirroring.between is not None:
        why = "val/nme is the mean error as a share of the distance between these, the eyes' outer corners"
        recipe.model["normalize_by"] = Setting(list(mirroring.between), why)
    return draft
