"""One printed row an epoch, as fastai prints them."""

import time

from pytorch_lightning import Callback, LightningModule, Trainer

_WIDTH = 10


class EpochTable(Callback):
    """Print losses, metrics and seconds after each epoch; an epoch without validation has no metrics in its row."""

    def __init__(self) -> None:
        self._started_s = 0.0
        self._validated = False
        self._columns: list[str] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock: a run resumed within an epoch has no start of one."""
        self._started_s = time.perf_counter()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock: training and validation count."""
        self._started_s = time.perf_counter()
        self._validated = False

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
        if not set(values) <= set(self._columns):
            self._columns = sorted(values, key=lambda name: (name.partition("/")[0], not name.endswith("loss")))
            trainer.print("  ".join([f"{'epoch':>5}", *(_aligned(name, name) for name in self._columns), "seconds"]))
        cells = [_aligned(values.get(name, ""), name) for name in self._columns]
        trainer.print("  ".join([f"{trainer.current_epoch:>5}", *cells, f"{seconds:>7.1f}"]))


def _aligned(cell: str, name: str) -> str:
    return cell.rjust(max(_WIDTH, len(name)))
