"""What TensorBoard shows of a training besides its scalars. Drawn for the first process alone, beside the training."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities.seed import isolate_rng
from torch import Tensor
from torch.utils.tensorboard.summary import hparams as hparams_summaries

from lightning_tasks.reports.canvas import drawable
from lightning_tasks.reports.drawing import add_figure, add_figure_file
from lightning_tasks.reports.tensorboard_writer import tensorboard_writer, validation_step, validation_writer
from lightning_tasks.tasks.registry import find_task, names_keys, task_of

_MOST = 9  # images


class BatchFigure(Callback):
    """Show a training batch, as the model will see it, when a run starts."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw it, unless the run is resumed: then it was drawn."""
        datamodule: Any = getattr(trainer, "datamodule", None)
        writer, task = tensorboard_writer(trainer), find_task(datamodule)
        if writer is None or task is None or trainer.global_step:
            return
        with isolate_rng():  # a DataLoader draws a seed: the training's own numbers must not depend on who looks
            batch = datamodule.one_batch()
        drawable("".join(getattr(datamodule, task.names_key)))  # their fonts are looked for once, not for each figure
        draw = partial(task.draw_batch, type(batch)(*(tensor[:_MOST] for tensor in batch)), datamodule)
        add_figure(trainer, writer, "show_batch", draw, 0)


class ResultsFigure(Callback):
    """Show the first validation images with targets and predictions after each validation.

    The last ones are `results.png` in the run's folder.
    """

    _kept: tuple[Any, Tensor] | None = None

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int, *_: object
    ) -> None:
        """Keep the first images and what was predicted of them."""
        tensors: Any = batch  # of the task
        if not batch_idx and trainer.is_global_zero and isinstance(outputs, Tensor):  # a user's subclass may say none
            self._kept = type(tensors)(*(tensor[:_MOST].cpu() for tensor in tensors)), outputs[:_MOST].float().cpu()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw them."""
        writer = validation_writer(trainer)
        if writer is not None and self._kept is not None:
            draw = partial(task_of(pl_module).draw_results, *self._kept, pl_module)
            add_figure(trainer, writer, "results", draw, validation_step(trainer))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the file; a trial leaves none."""
        if self._kept is not None and not trainer.fast_dev_run:  # type: ignore[attr-defined]  # Lightning sets it at run time
            draw = partial(task_of(pl_module).draw_results, *self._kept, pl_module)
            add_figure_file(trainer, Path(trainer.default_root_dir) / "results.png", draw)


class HyperParameters(Callback):
    """Let TensorBoard's table of runs show the run's settings beside its validation's scalars.

    Lightning's own way would write a first value of each metric, which was never measured, into its curve.
    """

    _written = False

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the settings and the metrics' names, once there are any."""
        metrics = {name: 0 for name in trainer.callback_metrics if name.startswith("val/")}  # the names alone are used
        writer = validation_writer(trainer)
        if self._written or writer is None or not metrics:
            return
        data = getattr(getattr(trainer, "datamodule", None), "hparams", {})
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
    """Return hyper-parameters as a table can show them: no private ones, no names, no None, the rest as text."""
    too_long = names_keys()
    return {
        name: value if isinstance(value, bool | int | float | str) else str(value)
        for name, value in hparams.items()
        if not name.startswith("_") and name not in too_long and value is not None
    }
