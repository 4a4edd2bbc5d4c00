"""Targets beside predictions in the original images' pixels, or the worst of them."""

from pathlib import Path
from typing import Literal

import pytorch_lightning as pl

from lightning_tasks.errors import ConfigError
from lightning_tasks.reports.figure_file import require_figure_place, write_figure
from lightning_tasks.reports.gallery import Results, choose_rows
from lightning_tasks.tasks.registry import task_of
from lightning_tasks.tasks.split_predictions import SplitPredictions
from lightning_tasks.verbs.predictions import predictions_of


def run(
    trainer: pl.Trainer,
    model: pl.LightningModule,
    datamodule: pl.LightningDataModule,
    ckpt_path: str,
    split: Literal["valid", "test"] = "valid",
    output: str = "show_results.png",
    n: int = 9,
    worst: bool = False,
    grad_cam: str | None = None,
) -> None:
    """Draw targets beside what a checkpoint predicts, on the images as they are on disk.

    Args:
        ckpt_path: the checkpoint.
        split: valid or test.
        output: the image that is written.
        n: how many images.
        worst: those with the highest loss, which are listed too; else images from all over the split.
        grad_cam: a label: where in the images it comes from, where it is most probable, or with `worst` where its
            own loss is highest; on the images as the model sees them.
    """
    if n < 1:
        raise ConfigError(f"--n is {n}; it must be at least 1.")
    require_figure_place(Path(output))
    cam = None if grad_cam is None else task_of(model).grad_cam(model, grad_cam)  # before all images are predicted
    found = predictions_of(trainer, model, datamodule, ckpt_path, split)
    if cam is None:
        results = show_results(found, n, worst)
    else:
        results = cam.draw(found, getattr(datamodule, f"{split}_set"), n, worst)
    if worst:
        for path, loss in zip(results.paths, results.losses, strict=True):
            print(f"loss {loss:<10.4f}  {path}")
    write_figure(Path(output), results.figure)
    print(f"results image  {output}")


def show_results(found: SplitPredictions, n: int, worst: bool) -> Results:
    """Draw n images at most, true beside predicted: those with the highest loss, or evenly spaced ones."""
    losses = found.losses()
    rows = choose_rows(losses, n, worst)
    values = tuple(losses[rows].tolist())
    return Results(found.draw(rows, values if worst else ()), tuple(found.paths[row] for row in rows), values)
