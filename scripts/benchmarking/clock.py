"""The callback that measures an epoch of the command line's own `fit`, and ends it."""

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch.autograd import DeviceType  # type: ignore[attr-defined]  # in its documentation, not in its types
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile

_LAST = 2  # the epoch that only has to begin
MEASURING = ".measuring"  # the ending of a file that is there from the start of epoch 1: do not disturb
_PROFILED = (0.25, 0.75)  # the share of the last epoch's steps that the profiler sees: not its start, nor its end


class Measured(Exception):  # noqa: N818 - no error
    """Everything is measured; the rest of the training is of no use."""


class EpochClock(Callback):
    """Note when epochs start, write what was measured, and raise Measured.

    The time from the start of epoch 1 to that of epoch 2 is a steady epoch with everything in it: training, validation,
    metrics, images, checkpoints. Epoch 0 is warm-up, and no epoch is cut short by the end of the training.

    Args:
        file: the JSON that is written.
        profiled: let torch's profiler look at half of epoch 2 too, for `gpu_busy_share`; None: on a GPU.
    """

    def __init__(self, file: str, profiled: bool | None = None) -> None:
        self.file = Path(file)
        self.profiled = torch.cuda.is_available() if profiled is None else profiled
        self.starts_s: list[float] = []
        self.profile: profile | None = None
        self.profile_start_s = 0.0
        self.steady_start_s = 0.0
        self.train_images_s = 0.0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the time, once the device is done with the epoch before."""
        if trainer.current_epoch == 1:
            self.file.with_suffix(MEASURING).touch()
        self.starts_s.append(now_s())
        if trainer.current_epoch == _LAST and not self.profiled:
            self._end(trainer, None)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        """Start the profiler; in the epoch before, start the clock of the training alone."""
        if trainer.current_epoch == _LAST - 1 and batch_idx == _skipped(trainer):
            self.steady_start_s = now_s()
        if trainer.current_epoch == _LAST and batch_idx == int(_PROFILED[0] * trainer.num_training_batches):
            on_gpu = torch.cuda.is_available()
            self.profile = profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU])
            self.profile.start()
            self.profile_start_s = now_s()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        """Stop the profiler, and the clock of the training alone."""
        if trainer.current_epoch == _LAST - 1 and batch_idx == trainer.num_training_batches - 1:
            loader = trainer.train_dataloader
            assert loader is not None
            images = (trainer.num_training_batches - _skipped(trainer)) * loader.batch_size
            self.train_images_s = images / (now_s() - self.steady_start_s)
        first, end = (int(share * trainer.num_training_batches) for share in _PROFILED)
        if self.profile is not None and batch_idx == max(first, end - 1):
            wall_s = now_s() - self.profile_start_s
            self.profile.stop()
            on = DeviceType.CUDA if torch.cuda.is_available() else DeviceType.CPU
            events = self.profile.events()  # type: ignore[no-untyped-call]  # torch's own
            self._end(trainer, covered_us(kernels_us(events or [], on)) / 1e6 / wall_s)

    def _end(self, trainer: Trainer, busy_share: float | None) -> None:
        train, valid = trainer.train_dataloader, trainer.val_dataloaders
        assert train is not None
        assert valid is not None
        record: dict[str, Any] = {
            "epoch_s": self.starts_s[_LAST] - self.starts_s[_LAST - 1],
            "warm_up_epoch_s": self.starts_s[1] - self.starts_s[0],
            "train_images_s": self.train_images_s,
            "gpu_busy_share": busy_share,
            "precision": str(trainer.precision),
            "n": len(train.dataset),
            "n_valid": len(valid.dataset),
            "num_workers": train.num_workers,
        }
        self.file.write_text(json.dumps(record), encoding="utf-8")
        raise Measured


def _skipped(trainer: Trainer) -> int:
    """Return how many of an epoch's first batches are not counted: its loader fills up meanwhile."""
    return int(trainer.num_training_batches) // 8


def now_s() -> float:
    """Return the time in seconds once the GPU, if there is one, has done all it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def kernels_us(events: Iterable[FunctionEvent], device: DeviceType) -> list[tuple[float, float]]:
    """Return start and end of each kernel, in µs: of neither copies nor the profiler's own annotations."""
    return [
        (event.time_range.start, event.time_range.end)
        for event in events
        if event.device_type == device
        and not event.name.startswith(("Memcpy", "Memset"))
        and not getattr(event, "is_user_annotation", False)
    ]


def covered_us(spans_us: Iterable[tuple[float, float]]) -> float:
    """Return the length of the spans' union: what runs side by side counts once."""
    total_us, reached_us = 0.0, float("-inf")
    for start_us, end_us in sorted(spans_us):
        total_us += max(0.0, end_us - max(start_us, reached_us))
        reached_us = max(reached_us, end_us)
    return total_us
