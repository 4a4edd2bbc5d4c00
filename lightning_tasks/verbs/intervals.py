"""Intervals below the scores that `validate` and `test` print."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from torch import Tensor

from lightning_tasks.errors import ConfigError
from lightning_tasks.reports.bootstrap import Interval, Intervals, check_level
from lightning_tasks.tasks.registry import task_of_both
from lightning_tasks.tasks.split_predictions import Split, SplitPredictions


@contextlib.contextmanager
def intervals_below(
    trainer: pl.Trainer,
    model: pl.LightningModule | None,
    datamodule: Any,  # noqa: ANN401 - Lightning's signature
    ci: float | None,
    split: Split,
) -> Iterator[None]:
    """Print intervals of level `ci` after what is printed within; None: nothing.

    Raises:
        ConfigError: the level cannot be, or model and data are not of one of our tasks.
    """
    if ci is None:
        yield
        return
    check_level(ci)
    model = model or trainer.lightning_module
    task_of_both(model, datamodule)
    gathered = GatheredOutputs()
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]  # Lightning sets it at run time
    callbacks.append(gathered)
    try:
        yield
    finally:
        callbacks.remove(gathered)
    found = gathered.predictions(trainer, model, split)
    if trainer.is_global_zero:
        print("\n".join(interval_lines(found.intervals(ci), {"valid": "val"}.get(split, split))))


def interval_lines(intervals: Intervals, stage: str) -> list[str]:
    """Return a table of scores between their bounds, called as Lightning's table calls them, and what it means."""
    names = [f"{stage}/{name}" for name in intervals.scores]
    width = max(map(len, names))
    rows = [f"{name:<{width}}  {_cells(found)}" for name, found in zip(names, intervals.scores.values(), strict=True)]
    return [f"{'':<{width}}  {'score':>10}  {'from':>10}  {'to':>10}", *rows, *intervals.lines()]


def _cells(found: Interval) -> str:
    return "  ".join(f"{'–' if value != value else f'{value:.4f}':>10}" for value in found)


class GatheredOutputs(pl.Callback):
    """Keep what a validation or a test predicts for each image, and what is true of it, from all processes."""

    def __init__(self) -> None:
        self._parts: list[tuple[Tensor, Any]] = []  # of each batch: the outputs, and all but its images

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,  # noqa: ANN401 - Lightning's signature
        batch: Any,  # noqa: ANN401 - likewise
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep a batch."""
        without_images = batch._replace(images=batch.images[:0])
        self._parts.append((outputs.cpu(), type(batch)(*(column.cpu() for column in without_images))))

    on_test_batch_end = on_validation_batch_end

    def predictions(self, trainer: pl.Trainer, model: pl.LightningModule, split: Split) -> SplitPredictions:
        """Return what was predicted, in the split's order; all processes must ask.

        Raises:
            LightningTasksError: nothing was, or it is not finite, or the task does not offer it.
        """
        parts = self._parts
        if trainer.world_size > 1:
            of_all: list[list[tuple[Tensor, Any]]] = [[] for _ in range(trainer.world_size)]
            dist.all_gather_object(of_all, parts)
            parts = [part for parts in of_all for part in parts]
        if not parts:
            raise ConfigError("No image was scored, so that there are no intervals (--ci) of the scores.")
        outputs = torch.cat([part[0] for part in parts])
        batches = [batch for _, batch in parts]
        whole = type(batches[0])(*(torch.cat(column) for column in zip(*batches, strict=True)))
        order = whole.rows.argsort()
        datamodule: Any = trainer.datamodule  # type: ignore[attr-defined]  # Lightning sets it at run time
        batch = type(whole)(
            *(column if name == "images" else column[order] for name, column in whole._asdict().items())
        )
        return task_of_both(model, datamodule).split_predictions(model, datamodule, split, outputs[order], batch)
