"""What TensorBoard shows of a training besides its scalars. Drawn on the first process alone, between epochs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities.seed import isolate_rng
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams as hparams_summaries

from lightning_tasks.batch import KeypointBatch, MultiLabelBatch
from lightning_tasks.reports.figure_file import write_figure
from lightning_tasks.reports.fonts import letter_figure
from lightning_tasks.reports.grid import to_arrays
from lightning_tasks.reports.results import label_results, point_results
from lightning_tasks.reports.show_batch import label_batch, point_batch
from lightning_tasks.tasks.multilabel.metrics import ThresholdAccuracies
from lightning_tasks.tasks.multilabel.threshold_figure import threshold_figure

_MOST = 9  # images
_LONG = ("vocab", "point_names")  # a table of runs has no room for them


def tensorboard_writer(trainer: Trainer) -> SummaryWriter | None:
    """Return what writes the run's events; None on other processes, and where none are written."""
    if not trainer.is_global_zero:
        return None
    return next((logger.experiment for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)), None)


class BatchFigure(Callback):
    """Show a training batch, as the model will see it, when a run starts."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw it, unless the run goes on: then it was drawn."""
        writer, one_batch = tensorboard_writer(trainer), getattr(_datamodule(trainer), "one_batch", None)
        if writer is None or one_batch is None or trainer.global_step:
            return
        with isolate_rng():  # a DataLoader draws a seed: the training's own numbers must not depend on who looks
            batch = one_batch()
        if isinstance(batch, MultiLabelBatch):
            figure = label_batch(MultiLabelBatch(*(tensor[:_MOST] for tensor in batch)), _vocab(pl_module))
        elif isinstance(batch, KeypointBatch):
            figure = point_batch(KeypointBatch(*(tensor[:_MOST] for tensor in batch)))
        else:
            return
        writer.add_figure("show_batch", letter_figure(figure), 0)


class ResultsFigure(Callback):
    """Show the first validation images with targets and predictions after each validation.

    The last ones are `results.png` in the run's folder.
    """

    def __init__(self) -> None:
        self._seen: tuple[MultiLabelBatch | KeypointBatch, Tensor] | None = None

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the first images and what was predicted of them."""
        if batch_idx or not trainer.is_global_zero or not isinstance(outputs, Tensor):
            return
        if isinstance(batch, (MultiLabelBatch, KeypointBatch)):
            self._seen = type(batch)(*(tensor[:_MOST].cpu() for tensor in batch)), outputs[:_MOST].float().cpu()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw them."""
        writer = tensorboard_writer(trainer)
        if writer is not None and self._seen is not None and _within_fit(trainer):
            writer.add_figure("results", letter_figure(_results(*self._seen, pl_module)), _step(trainer))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the file; a trial leaves none."""
        if self._seen is not None and not trainer.fast_dev_run:  # type: ignore[attr-defined]  # Lightning sets it at run time
            write_figure(Path(trainer.default_root_dir) / "results.png", _results(*self._seen, pl_module))


class ThresholdCurve(Callback):
    """Show the accuracy at each threshold, over the whole validation set, after each validation of labels.

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
        batch: object,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count."""
        # With exactly one label an image the likeliest is taken: there is no threshold.
        if (
            isinstance(batch, MultiLabelBatch)
            and isinstance(outputs, Tensor)
            and getattr(pl_module, "thresholds", ()) is not None
        ):
            self.accuracies.update(outputs, batch.targets)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Sum up over the processes, all of which take part, and draw on the first."""
        if not self.accuracies.update_called:
            return
        accuracies, all_negative = self.accuracies.compute()
        writer = tensorboard_writer(trainer)
        if writer is not None and _within_fit(trainer) and not all_negative.isnan():  # nothing counted
            figure = threshold_figure(accuracies.tolist(), float(all_negative))
            writer.add_figure("threshold_curve", figure, _step(trainer))


class HyperParameters(Callback):
    """Let TensorBoard's table of runs show the run's settings beside its validation's scalars.

    Lightning's own way would write a first value of each metric, which was never measured, into its curve.
    """

    def __init__(self) -> None:
        self._written = False

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the settings and the metrics' names, once there are any."""
        metrics = {name: 0 for name in trainer.callback_metrics if name.startswith("val/")}  # the names alone are used
        writer = tensorboard_writer(trainer)
        if self._written or writer is None or not metrics or not _within_fit(trainer):
            return
        data = getattr(_datamodule(trainer), "hparams", {})
        settings = {
            **plain_settings(pl_module.hparams),
            **{f"data/{name}": value for name, value in plain_settings(data).items()},
            "max_epochs": trainer.max_epochs,
            "precision": str(trainer.precision),
        }
        for summary in hparams_summaries(settings, metrics):  # type: ignore[no-untyped-call]  # torch's own
            writer._get_file_writer().add_summary(summary)  # type: ignore[no-untyped-call]  # torch's own
        self._written = True


def plain_settings(hparams: Mapping[str, Any]) -> dict[str, bool | int | float | str]:
    """Return hyper-parameters as a table can show them: no private ones, no long lists, no None, the rest as text."""
    return {
        name: value if isinstance(value, bool | int | float | str) else str(value)
        for name, value in hparams.items()
        if not name.startswith("_") and name not in _LONG and value is not None
    }


def _results(batch: MultiLabelBatch | KeypointBatch, predictions: Tensor, pl_module: LightningModule) -> Figure:
    shown = to_arrays(batch.images)
    if isinstance(batch, MultiLabelBatch):
        predicted = pl_module.predicted(predictions)  # type: ignore[operator]  # a Module's attributes are untyped
        return label_results(shown, batch.targets, predictions, _vocab(pl_module), predicted)
    size_px = torch.tensor([batch.images.shape[-1], batch.images.shape[-2]])
    targets = torch.where(batch.visible[..., None], batch.points_norm, torch.nan)
    errors_px = ((predictions - targets) * batch.original_size_px[:, None] / 2).norm(dim=-1)
    return point_results(shown, (targets + 1) * size_px / 2, (predictions + 1) * size_px / 2, errors_px)


def _vocab(pl_module: LightningModule) -> list[str]:
    return pl_module.vocab  # type: ignore[return-value]  # a Module's attributes are untyped


def _datamodule(trainer: Trainer) -> object:
    return getattr(trainer, "datamodule", None)


def _within_fit(trainer: Trainer) -> bool:
    return trainer.state.fn == "fit" and not trainer.sanity_checking


def _step(trainer: Trainer) -> int:
    """Return the step of the validation's scalars, so that a run that goes on drops both or neither."""
    return max(0, trainer.global_step - 1)
