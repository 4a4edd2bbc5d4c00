"""Training images as the model will see them."""

from pathlib import Path

import pytorch_lightning as pl
import torch
from matplotlib.figure import Figure
from pytorch_lightning import LightningDataModule

from lightning_tasks.batch import KeypointBatch, MultiLabelBatch
from lightning_tasks.callbacks.skipped import tell_skipped
from lightning_tasks.data.images.decode import read_image
from lightning_tasks.errors import ConfigError
from lightning_tasks.reports.figure_file import require_figure_place, write_figure
from lightning_tasks.reports.show_batch import label_batch, point_batch
from lightning_tasks.tasks import KeypointDataModule, MultiLabelDataModule


def run(
    trainer: pl.Trainer,
    model: None,
    datamodule: pl.LightningDataModule,
    output: str = "show_batch.png",
    n: int = 9,
    originals: bool = False,
) -> None:
    """Draw training images as the model will see them, after augmentation, with labels or points.

    Args:
        trainer: whose device is used.
        model: none is needed.
        datamodule: whose training split is shown.
        output: the image that is written.
        n: how many images.
        originals: each with the untouched image on its left.
    """
    if n < 1:
        raise ConfigError(f"--n is {n}; it must be at least 1.")
    require_figure_place(Path(output))
    figure = show_batch(datamodule, n, originals)
    tell_skipped(getattr(datamodule, "train_set", None))
    write_figure(Path(output), figure)
    print(f"batch image    {output}")


def show_batch(datamodule: LightningDataModule, n: int, originals: bool) -> Figure:
    """Draw the first n images of a training batch with labels or points.

    Args:
        datamodule: whose training split is shown.
        n: how many images.
        originals: each with the untouched image on its left.

    Raises:
        ConfigError: the data has neither labels nor points.
    """
    if isinstance(datamodule, MultiLabelDataModule):
        labels = MultiLabelBatch(*(tensor[:n] for tensor in datamodule.one_batch()))
        paths = [datamodule.train_set.paths[row] for row in labels.rows] if originals else []
        untouched = [read_image(path, white_level=datamodule.white_level) for path in paths]
        return label_batch(labels, datamodule.vocab, untouched)
    if isinstance(datamodule, KeypointDataModule):
        points = KeypointBatch(*(tensor[:n] for tensor in datamodule.one_batch()))
        rows = points.rows.tolist() if originals else []
        paths = [datamodule.train_set.paths[row] for row in rows]
        untouched = [read_image(path, white_level=datamodule.white_level) for path in paths]
        annotated = [torch.from_numpy(datamodule.train_set.points_px[row]) for row in rows]
        return point_batch(points, untouched, [place[~place.isnan().any(1)] for place in annotated])
    raise ConfigError(f"show_batch knows labels and points, not the batches of {type(datamodule).__name__}.")
