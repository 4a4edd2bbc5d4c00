"""Targets beside predictions in the original images' pixels, or the worst of them; what speaks for a label."""

from pathlib import Path
from typing import Literal, NamedTuple

import pytorch_lightning as pl
import torch
from matplotlib.figure import Figure
from torch import Tensor

from lightning_tasks.data.images.decode import read_image
from lightning_tasks.errors import ConfigError
from lightning_tasks.reports.figure_file import require_figure_place, write_figure
from lightning_tasks.reports.grid import Image, to_arrays
from lightning_tasks.reports.results import heat_results, label_results, point_results
from lightning_tasks.tasks import MultiLabelClassifier
from lightning_tasks.tasks.keypoints.scores import point_losses
from lightning_tasks.tasks.multilabel.dataset import MultiLabelDataset, collate_multilabel
from lightning_tasks.tasks.multilabel.grad_cam import GradCam
from lightning_tasks.tasks.multilabel.scores import label_losses
from lightning_tasks.tasks.split_predictions import LabelPredictions, PointPredictions
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
    """Draw targets beside what a checkpoint says, on the images as they are on disk.

    Args:
        trainer: whose device is used.
        model: takes the checkpoint's weights.
        datamodule: whose images are shown.
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
    cam = None if grad_cam is None else GradCam(model, grad_cam)  # before all images are predicted
    found = predictions_of(trainer, model, datamodule, ckpt_path, split)
    if isinstance(found, PointPredictions):
        results = show_points(found, n, worst)
    elif cam is not None:
        results = show_heat(found, getattr(datamodule, f"{split}_set"), cam, n, worst)
    else:
        assert isinstance(model, MultiLabelClassifier)
        results = show_labels(found, model, n, worst)
    if worst:
        for path, loss in zip(results.paths, results.losses, strict=True):
            print(f"loss {loss:<10.4f}  {path}")
    write_figure(Path(output), results.figure)
    print(f"results image  {output}")


class Results(NamedTuple):
    """A figure, and what it shows of which files."""

    figure: Figure
    paths: tuple[Path, ...]
    losses: tuple[float, ...]


def show_labels(found: LabelPredictions, model: MultiLabelClassifier, n: int, worst: bool) -> Results:
    """Draw N images' labels beside the predicted ones.

    Args:
        found: the predictions.
        model: whose they are.
        n: how many images at most.
        worst: those with the highest loss (see `label_losses`), highest first; else evenly spaced ones.
    """
    losses = model.image_losses(found.probabilities, found.targets)
    rows = choose(losses, n, worst)
    shown, paths, written = _read(found, losses, rows)
    probabilities, targets = found.probabilities[rows], found.targets[rows]
    predicted = model.predicted(probabilities)
    return Results(
        label_results(shown, targets, probabilities, model.vocab, predicted, written if worst else ()), paths, written
    )


def show_points(found: PointPredictions, n: int, worst: bool) -> Results:
    """Draw N images' points beside the predicted ones, as `show_labels` does; the loss is `point_losses`."""
    losses = point_losses(found.points_norm, found.targets_norm, found.visible)
    rows = choose(losses, n, worst)
    shown, paths, written = _read(found, losses, rows)
    points_px, targets_px = found.points_px[rows], found.targets_px[rows]
    errors_px = (points_px - targets_px).norm(dim=-1)
    return Results(point_results(shown, targets_px, points_px, errors_px, written if worst else ()), paths, written)


def show_heat(found: LabelPredictions, dataset: MultiLabelDataset, cam: GradCam, n: int, worst: bool) -> Results:
    """Draw what speaks for a label, on the images as the model sees them.

    Args:
        found: the predictions of `dataset`.
        dataset: the split.
        cam: of the label.
        n: how many images at most.
        worst: those where this label's loss is highest; else those where it is most probable.
    """
    probabilities, targets = found.probabilities[:, cam.column], found.targets[:, cam.column]
    losses = label_losses(probabilities[:, None], targets[:, None])
    rows = choose(losses if worst else probabilities, n, True)
    images = collate_multilabel([dataset[int(row)] for row in found.rows[rows]]).images
    written = tuple(losses[rows].tolist())
    figure = heat_results(
        to_arrays(images), cam(images), cam.label, targets[rows], probabilities[rows], written if worst else ()
    )
    return Results(figure, tuple(found.paths[row] for row in rows), written)


def choose(losses: Tensor, n: int, worst: bool) -> Tensor:
    """Return which of N images to show, at most n: those with the highest losses (N,), or evenly spaced ones.

    NaN, an image without anything to be wrong about, is never among the worst.

    Raises:
        ConfigError: there is nothing else.
    """
    if worst and losses.isnan().all():
        raise ConfigError("No image of the split is annotated, so none is worst. Leave out --worst.")
    if worst:
        return losses.nan_to_num(-torch.inf).argsort(descending=True, stable=True)[
            : min(n, int((~losses.isnan()).sum()))
        ]
    return torch.linspace(0, len(losses) - 1, min(n, len(losses))).round().long()


def _read(
    found: LabelPredictions | PointPredictions, losses: Tensor, rows: Tensor
) -> tuple[list[Image], tuple[Path, ...], tuple[float, ...]]:
    paths = tuple(found.paths[row] for row in rows)
    return [read_image(path, white_level=found.white_level) for path in paths], paths, tuple(losses[rows].tolist())
