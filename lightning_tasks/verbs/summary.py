"""What the data is, and what happens to one sample on its way to the model: fastai's `DataBlock.summary`."""

from itertools import islice
from typing import Any

import pytorch_lightning as pl
import torch

from lightning_tasks.data.datamodule import ImageDataModule
from lightning_tasks.data.loading.dataset import EpochIndex
from lightning_tasks.data.loading.skipping import readable
from lightning_tasks.reports.terminal import tell_skipped
from lightning_tasks.tasks.registry import task_of
from lightning_tasks.tasks.sample_steps import array_line, step

_BATCH = 4


def run(trainer: pl.Trainer, model: None, datamodule: ImageDataModule) -> None:
    """Print what was found, and one sample and one batch on their way to the device, step by step."""
    print(summary(datamodule, trainer.strategy.root_device))
    tell_skipped(datamodule.train_set)


def summary(datamodule: ImageDataModule, device: torch.device) -> str:
    """Return, for a person: what was found, statistics, one sample step by step, and a batch of four on the device.

    Raises:
        LightningTasksError: the data is of no task of ours; or a step failed: the message names it and the sample.
    """
    task = task_of(datamodule)
    lines = [datamodule.describe(), ""]
    dataset = datamodule.train_set

    def decode(row: int) -> None:
        with step("decode", str(dataset.paths[row])):
            _ = dataset.images[row]

    rows = [row for row, _ in islice(readable(range(len(dataset.paths)), decode, dataset.skipped), _BATCH)]
    lines += task.describe_sample(datamodule, rows[0])
    samples: list[Any] = []
    for row in rows:
        with step("sample", str(dataset.paths[row])):
            samples.append(dataset[EpochIndex(0, row)])
    with step("collate", ", ".join(str(dataset.paths[row]) for row in rows)):
        batch = datamodule.collate(samples)
    lines += ["", f"a batch of {len(samples)}", *_tensors(batch)]
    with step(f"move to {device}", "the batch"):
        moved = type(batch)(*(tensor.to(device) for tensor in batch))
    return "\n".join([*lines, "", f"on the device ({device})", *_tensors(moved)])


def _tensors(batch: Any) -> list[str]:  # noqa: ANN401 - a task's own
    return [array_line(name, getattr(batch, name)) for name in batch._fields]
