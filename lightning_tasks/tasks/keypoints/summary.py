"""What a data set with points holds, and what happens to a sample of it, for a person."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lightning_tasks.data.describe import describe_counts, listed
from lightning_tasks.data.loading.dataset import EpochIndex, sample_seed
from lightning_tasks.data.tables.splits import Rows
from lightning_tasks.data.transforms.compose import augment_points
from lightning_tasks.tasks.keypoints.dataset import KeypointDataset, points_in
from lightning_tasks.tasks.keypoints.table import point_positions
from lightning_tasks.tasks.sample_steps import NAMES_LISTED, array_line, step


def describe_points(root: Path, table: pd.DataFrame, split: tuple[Rows, Rows], point_names: Sequence[str]) -> list[str]:
    """Return lines about images with points."""
    lines = [describe_counts(root, table, split)]
    if "group" in table.columns:
        groups = table["group"]
        lines.append(f"{groups.nunique()} groups; validation: {', '.join(sorted(groups.iloc[split[1]].unique()))}")
    annotated = ~np.isnan(point_positions(table)).any(axis=-1)
    points = f"{len(point_names)} point{'s' * (len(point_names) > 1)} ({listed(point_names)})"
    return [*lines, f"{points}, annotated in {annotated.mean():.1%} of the images"]


def count_points(point_names: Sequence[str], train: KeypointDataset, valid: KeypointDataset) -> list[str]:
    """Return a table of how many images have each point, and where it lies."""
    points = np.concatenate([train.points_px, valid.points_px])
    width = max(len(name) for name in point_names)
    lines = [f"{'point':<{width}}  annotated  x in pixels      y in pixels"]
    for number, name in enumerate(point_names[:NAMES_LISTED]):
        places = points[:, number]
        places = places[~np.isnan(places).any(1)]
        spans = ["", ""]
        if len(places):
            spans = [f"{low:.0f} to {high:.0f}" for low, high in zip(places.min(0), places.max(0), strict=True)]
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
