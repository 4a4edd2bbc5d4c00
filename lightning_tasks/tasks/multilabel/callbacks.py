"""What a training of labels shows besides."""

from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from lightning_tasks.reports.tensorboard_writer import validation_step, validation_writer
from lightning_tasks.tasks.multilabel.metrics import ThresholdAccuracies
from lightning_tasks.tasks.multilabel.threshold_figure import threshold_figure


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
        batch: Any,  # noqa: ANN401 - a MultiLabelBatch
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
            figure = threshold_figure(accuracies.tolist(), float(all_negative))
            writer.add_figure("threshold_curve", figure, validation_step(trainer))
