"""What a terminal shows during a run: bars, lines printed above them, and the model's parts before it."""

import sys
from collections.abc import Sequence
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import ModelSummary, ProgressBar, TQDMProgressBar
from torch import nn
from tqdm import tqdm


class TerminalBar(TQDMProgressBar):
    """Lightning's bars, on a terminal: a file would get each of their states, glued to the lines that matter."""

    def __init__(self, everywhere: bool = False) -> None:
        super().__init__()
        self.everywhere = everywhere

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find out where the output goes."""
        super().setup(trainer, pl_module, stage)
        if not (self.everywhere or sys.stdout.isatty()):
            self.disable()

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """Return what stands behind the bar: what is logged for it, not the name of the run's folder."""
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """End the bars' lines: an error's message begins on one of its own."""
        for part in ("val", "train", "test", "predict"):
            bar = getattr(self, f"_{part}_progress_bar")
            if bar is not None:
                bar.close()


class Parameters(ModelSummary):
    """Print the model's parts that have parameters, and how many of them are trained at first.

    Lightning's own table also has losses and metrics, which have none, and operations, which it does not count here.
    """

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print them."""
        parts = [(name, type(part).__name__, _count(part)[0]) for name, part in pl_module.named_children()]
        total, trained = _count(pl_module)
        rows = [part for part in parts if part[2]] + [("model", f"{trained:,} of them trained", total)]
        width, digits = max(len(name) for name, *_ in rows), len(f"{total:,}")
        for name, kind, count in rows:
            trainer.print(f"{name:<{width}}  {count:>{digits},} parameters  {kind}")


def terminal_callbacks(bar: bool | None, summary: bool | None, given: Sequence[object]) -> list[Callback]:
    """Return these in place of Lightning's own, where they are wanted and none is `given`; `bar` True: everywhere."""
    callbacks: list[Callback] = []
    if bar is not False and not any(isinstance(callback, ProgressBar) for callback in given):
        callbacks.append(TerminalBar(everywhere=bool(bar)))
    if summary is not False and not any(isinstance(callback, ModelSummary) for callback in given):
        callbacks.append(Parameters())
    return callbacks


def print_line(*args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - print's own
    """Print above the bars that there are, at once."""
    with tqdm.external_write_mode():
        print(*args, **{"flush": True, **kwargs})


def tell_skipped(source: object) -> None:
    """Print which images of a loader, or of a dataset, were skipped, if any, and forget them."""
    skipped: Any = getattr(getattr(source, "dataset", source), "skipped", None)
    if skipped is not None and (line := skipped.report()):
        print_line(line)  # each process of its own share: `trainer.print` would leave out those of all but the first


def _count(module: nn.Module) -> tuple[int, int]:
    """Return how many parameters there are, and how many of them are trained."""
    counts = [(parameter.numel(), parameter.requires_grad) for parameter in module.parameters()]
    return sum(n for n, _ in counts), sum(n for n, trained in counts if trained)
