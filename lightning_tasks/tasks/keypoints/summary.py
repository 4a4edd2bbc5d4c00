"""What a data set with points holds, and what happens to a sample of it, for a person."""

from collections.abc import Sequence

import numpy as np

from lightning_tasks.data.loading.dataset import EpochIndex, sample_seed
from lightning_tasks.data.transforms.compose import augment_points
from lightning_tasks.tasks.keypoints.dataset import KeypointDataset, points_in
from lightning_tasks.tasks.sample_steps import NAMES_LISTED, array_line, step


def count_points(point_names: Sequence[str], train: KeypointDataset, valid: KeypointDataset) -> list[str]:
    """Return a table of how many images have each point, and where it lies."""
    points = np.concatenate([train.points_px, valid.points_px])
    width = max(len(name) for name in point_names)
    lines = [f"{'point':<{width}}  annotated  x in pixels      y in pixels"]
    for number, name in enumerate(point_names[:NAMES_LISTED]):
        places = points[~np.isnan(points[:, number]).any(1), number]
        spans = [f"{axis.min():.0f} to {axis.max():.0f}" if len(axis) else "" for axis in places.T]
        lines.append(f"{name:<{width}}  {len(places):>9,}  {spans[0]:<15}  {spans[1]}")
    if len(point_names) > NAMES_LISTED:
        lines.append(f"... and {len(point_names) - NAMES_LISTED} more")
    return lines


def describe_sample(dataset: KeypointDataset, row: int) -> list[str]:
    """Return a line for each step of a sample."""
    path, seed = str(dataset.paths[row]), sample_seed(dataset.seed, 0, row)
    image, original = dataset.images[row]
    with step("transform", path):
        before_px = points_in(dataset.points_px[row], original, image.shape[:2])
        augmented, points_px, visible = augment_points(dataset.transform, image, before_px, seed)
    with step("scale", path):
        sample = dataset[EpochIndex(0, row)]
    return [
        f"one sample: {path}",
        array_line("decode", image),
        array_line("points", dataset.points_px[row], "px"),
        array_line("transform", augmented),
        array_line("points", points_px, "px"),
        f"{array_line('scale', sample.points_norm, 'norm')}, {int(visible.sum())} of {len(visible)} visible",
    ]
