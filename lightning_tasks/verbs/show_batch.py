"""Training images as the model will see them."""

from pathlib import Path

import pytorch_lightning as pl
from matplotlib.figure import Figure

from lightning_tasks.data.datamodule import ImageDataModule
from lightning_tasks.errors import ConfigError
from lightning_tasks.reports.figure_file import require_figure_place, write_figure
from lightning_tasks.reports.terminal import tell_skipped
from lightning_tasks.tasks.registry import task_of


def run(
    trainer: pl.Trainer,
    model: None,
    datamodule: ImageDataModule,
    output: str = "show_batch.png",
    n: int = 9,
    originals: bool = False,
) -> None:
    """Draw training images as the model will see them, after augmentation, with what is annotated.

    Args:
        output: the image that is written.
        n: how many images.
        originals: each with the untouched image on its left.
    """
    if n < 1:
        raise ConfigError(f"--n is {n}; it must be at least 1.")
    require_figure_place(Path(output))
    figure = show_batch(datamodule, n, originals)
    tell_skipped(datamodule.train_set)
    write_figure(Path(output), figure)
    print(f"batch image    {output}")


def show_batch(datamodule: ImageDataModule, n: int, originals: bool) -> Figure:
    """Draw the first n of a training batch with what is annotated; `originals`: each beside the untouched image."""
    task = task_of(datamodule)
    batch = datamodule.one_batch()
    return task.draw_batch(type(batch)(*(tensor[:n] for tensor in batch)), datamodule, originals)
