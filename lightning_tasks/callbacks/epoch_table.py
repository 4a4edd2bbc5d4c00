"""What a training prints of itself: a line at its start, and of each epoch a row, as fastai prints them."""

import shutil
import time
from collections.abc import Sequence

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch.utils.data import DataLoader

from lightning_tasks.reports.terminal import tell_skipped

_WIDTH = 10


class StartLine(Callback):
    """Print, before the first batch, what was chosen for this machine."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print it."""
        data, loader = getattr(trainer, "datamodule", None), trainer.train_dataloader
        device = trainer.strategy.root_device
        if device.type == "cuda":
            on = f"{trainer.world_size} × {torch.cuda.get_device_name(device)}"
        else:
            on = f"{device.type} ({torch.get_num_threads()} threads)"
        parts = [f"{type(pl_module).__name__} on {type(data or loader).__name__}: {on}, {trainer.precision}"]
        parts.append("channels_last")
        for optimizer in (getattr(optimizer, "optimizer", optimizer) for optimizer in trainer.optimizers):
            parts.append(f"{'fused ' if optimizer.defaults.get('fused') else ''}{type(optimizer).__name__}")
        if isinstance(loader, DataLoader):
            parts.append(f"{loader.num_workers} workers loading" if loader.num_workers else "loading by itself")
        notes = (getattr(getattr(data, "loading", None), "note", ""), getattr(data, "left_out_note", ""))
        trainer.print(", ".join([*parts, *filter(None, notes)]))


class SkippedImages(Callback):
    """Print, after each epoch and each validation, how many images could not be read, and which."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print those of training."""
        tell_skipped(trainer.train_dataloader)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print those of validation."""
        tell_skipped(trainer.val_dataloaders)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print those of the test table."""
        tell_skipped(trainer.test_dataloaders)


class EpochTable(Callback):
    """Print losses, metrics and seconds after each epoch; an epoch without validation has no metrics in its row.

    Where the terminal is too narrow, the last metrics are left out: they are in metrics.csv alone.
    """

    _validated = False
    _header: frozenset[str] = frozenset()  # the names that it was printed for
    _columns: Sequence[str] = ()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock: training and validation count."""
        self._started_s = time.perf_counter()
        self._validated = False

    on_train_start = on_train_epoch_start  # a run resumed within an epoch has no start of one

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember that this epoch has metrics: Lightning keeps those of the last one that had."""
        self._validated = True

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the row, and the header where its columns are new."""
        values = {
            name.removesuffix("_epoch"): f"{float(value):.4f}"
            for name, value in trainer.callback_metrics.items()
            if name == "train/loss_epoch" or (self._validated and name.startswith("val/"))
        }
        seconds = time.perf_counter() - self._started_s
        if not values.keys() <= self._header:
            self._header, self._columns = frozenset(values), _columns(list(values))
            trainer.print(_row("epoch", dict(zip(values, values, strict=True)), self._columns, "seconds"))
            if more := len(values) - len(self._columns):
                trainer.print(f"       and {more} more in metrics.csv")
        trainer.print(_row(str(trainer.current_epoch), values, self._columns, f"{seconds:.1f}"))


def _columns(logged: list[str]) -> list[str]:
    """Return what fits: the losses first if that is all, else those of training and validation and what follows."""
    width = shutil.get_terminal_size((120, 24)).columns
    columns = sorted(logged, key=lambda name: (name.partition("/")[0], not name.endswith("loss")))
    if len(_row("", {}, columns, "")) <= width:
        return columns
    columns = sorted(logged, key=lambda name: (name != "train/loss", name != "val/loss"))
    least = sum(name in ("train/loss", "val/loss") for name in columns)
    fitting = (n for n in range(len(columns), least, -1) if len(_row("", {}, columns[:n], "")) <= width)
    return columns[: next(fitting, least)]


def _row(epoch: str, cells: dict[str, str], columns: Sequence[str], seconds: str) -> str:
    aligned = (cells.get(name, "").rjust(max(_WIDTH, len(name))) for name in columns)
    return "  ".join([epoch.rjust(5), *aligned, seconds.rjust(7)])
