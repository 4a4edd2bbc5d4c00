"""The accuracy at each threshold of fastai's chapter: as numbers, as a figure, and while training in TensorBoard."""

from collections.abc import Sequence
from functools import partial

import torch
from matplotlib.figure import Figure
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from lightning_tasks.batch import TargetBatch
from lightning_tasks.reports.drawing import add_figure
from lightning_tasks.reports.grid import GREEN
from lightning_tasks.reports.tensorboard_writer import validation_step, validation_writer
from lightning_tasks.tasks.multilabel.scores import IGNORED, AllNegativeAccuracy, accuracy_multi

CURVE = tuple(0.05 + 0.9 * i / 28 for i in range(29))  # the chapter's, .05 to .95


def threshold_curve(probabilities: Tensor, targets: Tensor) -> list[tuple[float, float]]:
    """Return the 29 thresholds with the accuracy over cells (accuracy_multi) at each."""
    return [(threshold, accuracy_multi(probabilities, targets, threshold)) for threshold in CURVE]


def best_of_curve(accuracies: Sequence[float]) -> float:
    """Return the threshold whose accuracy, of the 29, is the highest; the middle one where several are."""
    best = [i for i, accuracy in enumerate(accuracies) if accuracy == max(accuracies)]
    return CURVE[best[len(best) // 2]]


def threshold_figure(accuracies: Sequence[float], all_negative: float) -> Figure:
    """Draw fastai's curve, the best threshold on it, and what any of them must beat.

    Args:
        accuracies: over cells, at each of the 29 thresholds.
        all_negative: the accuracy of predicting no label at all.
    """
    best = best_of_curve(accuracies)
    highest = accuracies[CURVE.index(best)]
    figure = Figure(figsize=(6, 4), layout="constrained")
    ax = figure.subplots()
    ax.plot(CURVE, accuracies, color="#57606a", linewidth=1.5)
    ax.axhline(all_negative, color="#57606a", linestyle="--", label=f"no label at all  {all_negative:.4f}")
    ax.plot(best, highest, "o", color=GREEN, markersize=8, label=f"best, {highest:.4f} at {best:.2f}")
    ax.set(xlabel="threshold", ylabel="accuracy over cells", xlim=(0, 1))
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.25)
    ax.legend(frameon=False)
    return figure


class ThresholdAccuracies(AllNegativeAccuracy):
    """The accuracy over cells at each threshold of the curve. Counts alone are kept: they cost no memory."""

    right: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("right", default=torch.zeros(len(CURVE), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch."""
        super().update(preds, target)
        predicted = preds > torch.tensor(CURVE, device=preds.device)[:, None, None]  # (29, B, C)
        self.right += ((predicted == (target == 1)) & (target != IGNORED)).sum((1, 2))

    def compute(self) -> tuple[Tensor, Tensor]:  # type: ignore[override]  # of several thresholds
        """Return the accuracies (29,), and that of predicting no label at all."""
        return self.right / self.cells, super().compute()


class ThresholdCurve(Callback):
    """Show the accuracy at each threshold, over the whole validation set, in TensorBoard after each validation.

    Attributes:
        accuracies: of the last validation.
    """

    def __init__(self) -> None:
        self.accuracies = ThresholdAccuracies()

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the validation before."""
        self.accuracies.to(pl_module.device).reset()

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: TargetBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count."""
        if isinstance(outputs, Tensor):  # a user's subclass may return nothing
            self.accuracies.update(outputs, batch.targets)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Sum up over the processes, all of which take part, and draw on the first."""
        if not self.accuracies.update_called:
            return
        accuracies, all_negative = self.accuracies.compute()
        writer = validation_writer(trainer)
        if writer is not None and not all_negative.isnan():  # nothing counted
            draw = partial(threshold_figure, accuracies.tolist(), float(all_negative))
            add_figure(trainer, writer, "threshold_curve", draw, validation_step(trainer))
