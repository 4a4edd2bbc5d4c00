"""What a data set with labels holds, and what happens to a sample of it, for a person."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lightning_tasks.data.describe import describe_counts
from lightning_tasks.data.loading.dataset import sample_seed
from lightning_tasks.data.tables.splits import Rows
from lightning_tasks.data.transforms.compose import augment_image
from lightning_tasks.tasks.multilabel.dataset import MultiLabelDataset
from lightning_tasks.tasks.sample_steps import NAMES_LISTED, array_line, step


def describe_labels(
    root: Path, table: pd.DataFrame, split: tuple[Rows, Rows], vocab: Sequence[str], difficult: str
) -> list[str]:
    """Return lines about images with labels."""
    used = np.union1d(*split)
    known = set(vocab)
    rows = table.iloc[used]
    difficult_cells = rows["difficult"] if "difficult" in table.columns else [()] * len(rows)
    positives = sum(
        len(known.intersection(labels).difference(hard))
        for labels, hard in zip(rows["labels"], difficult_cells, strict=True)
    )
    lines = [
        describe_counts(root, table, split),
        f"{len(vocab)} labels, {positives / len(used):.2f} an image: {', '.join(vocab)}",
    ]
    empty = sum(not (labels or hard) for labels, hard in zip(rows["labels"], difficult_cells, strict=True))
    if empty:
        lines.append(f"{empty:,} images with no label: an empty cell says that an image has none of them")
    if "difficult" in table.columns:
        lines.append(f"{table['difficult'].map(len).sum():,} difficult ones count as {difficult}")
    return lines


def count_labels(vocab: Sequence[str], train: MultiLabelDataset, valid: MultiLabelDataset) -> list[str]:
    """Return a table of how many images of each split have each label."""
    width = max(len(name) for name in vocab)
    lines = [f"{'label':<{width}}  training  validation"]
    rows = list(zip(vocab, (train.targets == 1).sum(0), (valid.targets == 1).sum(0), strict=True))
    lines += [f"{name:<{width}}  {int(a):>8,}  {int(b):>10,}" for name, a, b in rows[:NAMES_LISTED]]
    if len(rows) > NAMES_LISTED:
        lines.append(f"... and {len(rows) - NAMES_LISTED} more")
    none = [int((dataset.targets != 1).all(1).sum()) for dataset in (train, valid)]
    return [*lines, f"{'no label':<{width}}  {none[0]:>8,}  {none[1]:>10,}"]


def describe_sample(dataset: MultiLabelDataset, vocab: Sequence[str], row: int) -> list[str]:
    """Return a line for each step of a sample."""
    path, seed = str(dataset.paths[row]), sample_seed(dataset.seed, 0, row)
    image = dataset.images[row].image
    with step("transform", path):
        augmented = augment_image(dataset.transform, image, seed)
    target = dataset.targets[row]
    names = [name for name, on in zip(vocab, target, strict=True) if on == 1]
    return [
        f"one sample: {path}",
        array_line("decode", image),
        array_line("transform", augmented),
        f"{array_line('target', target)}: {', '.join(names) or 'no label'}",
    ]
