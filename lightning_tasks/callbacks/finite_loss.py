"""The callbacks that end a run whose loss, or predictions, are no numbers any more."""

import contextlib
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from lightning_tasks.atomic_write import put_whole
from lightning_tasks.callbacks.last_checkpoint import settle_checkpoints
from lightning_tasks.errors import ConfigError, TrainingError
from lightning_tasks.filesystem import is_file
from lightning_tasks.training.processes import is_watched, of_all_processes
from lightning_tasks.training.run_paths import last_checkpoint, run_folder

_LISTED = 8  # images in the message; a file has them all
_FILE = "non_finite_batch.txt"
_SYNCHRONOUS_DEVICES = ("cpu",)  # whose work is done when Python continues


class _Step(NamedTuple):
    step: int
    epoch: int
    batch_idx: int
    rates: list[tuple[object, float]]  # a group's name or number, and its learning rate
    rows: Tensor | None  # (B,) which samples of the data set it holds
    loss: Tensor  # ()


class FiniteLoss(Callback):
    """Stop at a loss that is NaN or infinite: say in which step, at which learning rates and of which images.

    No checkpoint is written after it, nor one with such weights (unless ModelCheckpoint saves weights alone, of which
    callbacks are not told), so the last one is good. On a CPU the step is not made. A GPU is not waited for in each
    step: losses are looked at together, every `log_every_n_steps` steps and before each checkpoint and validation.
    """

    def __init__(self) -> None:
        self._folder = Path()
        self._batch: object = None
        self._batch_idx = 0
        self._unseen: list[_Step] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget a training before this one, which may have ended anywhere."""
        self._folder, self._batch, self._unseen = run_folder(trainer), None, []

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        """Remember the batch."""
        self._batch, self._batch_idx = batch, batch_idx

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Remember the loss, and look at those that have come together."""
        if self._batch is None:  # LRFinder's sweep, which means to run away
            return
        groups = enumerate(trainer.optimizers[0].param_groups)
        rates = [(group.get("name", number), float(group["lr"])) for number, group in groups]
        position = (trainer.global_step, trainer.current_epoch, self._batch_idx)
        # The sum, since a loss may have the shape (1,).
        self._unseen.append(_Step(*position, rates, getattr(self._batch, "rows", None), loss.detach().sum()))
        if loss.device.type in _SYNCHRONOUS_DEVICES or len(self._unseen) >= trainer.log_every_n_steps:  # type: ignore[attr-defined]  # Lightning sets it at run time
            self._look(trainer)

    def on_train_batch_end(self, trainer: Trainer, *_: object) -> None:
        """Let go of the batch."""
        self._batch = None

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look: scores of such weights, which are about to be told, would mislead."""
        self._look(trainer)

    on_train_epoch_end = on_validation_start

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Look, at the weights too: a finite loss may have had a gradient that was not."""
        self._look(trainer)
        bad = [name for name, weight in pl_module.named_parameters() if not weight.isfinite().all()]
        if trainer.strategy.reduce_boolean_decision(bool(bad), all=False):
            which = f", {bad[0]} among them" if bad else ""  # a process may have a part of the weights alone
            self._end(trainer, f"After {trainer.global_step} steps there are weights that are not finite{which}.")

    def _look(self, trainer: Trainer) -> None:
        """Raise TrainingError, on every process, if the loss of one of them was not finite."""
        unseen, self._unseen = self._unseen, []
        finite = torch.stack([step.loss for step in unseen]).isfinite().tolist() if unseen else []
        bad = next((step for step, is_finite in zip(unseen, finite, strict=True) if not is_finite), None)
        if not trainer.strategy.reduce_boolean_decision(bad is not None, all=False):
            return
        told = of_all_processes(None if bad is None else self._describe(trainer, bad))
        self._end(trainer, next(filter(None, told)))

    def _end(self, trainer: Trainer, told: str) -> NoReturn:
        if is_watched(trainer):
            raise SystemExit(0)  # the first process says it
        settle_checkpoints(trainer)
        last = last_checkpoint(self._folder)
        good = f"The last good checkpoint is {last}. " if is_file(last) else ""
        raise TrainingError(
            f"{told} {good}Look at the images and their targets, or train anew with a lower --model.lr; or resume from "
            "the last checkpoint with clipped gradients: --ckpt_path last --trainer.gradient_clip_val 1."
        )

    def _describe(self, trainer: Trainer, bad: _Step) -> str:
        dataset = getattr(trainer.train_dataloader, "dataset", None)
        table: Any = getattr(getattr(dataset, "dataset", dataset), "images", None)  # `Skipping` wraps a dataset
        rows = [] if bad.rows is None or table is None else bad.rows.tolist()  # only our data modules know them
        names = [str(table.paths[row]) for row in rows]
        images = f" The batch's images: {', '.join(names[:_LISTED])}" if names else ""
        if len(names) > _LISTED:
            file = self._folder / _FILE
            images += f" and {len(names) - _LISTED} more"
            with contextlib.suppress(OSError):  # the other processes wait for this one
                text = "\n".join(names) + "\n"
                put_whole(file, lambda new: new.write_text(text, encoding="utf-8", errors="surrogateescape"))
                images += f", all of them in {file}"
        rates = ", ".join(f"{group} {rate:.2e}" for group, rate in bad.rates)
        return (
            f"The loss is {float(bad.loss)} in step {bad.step} (epoch {bad.epoch}, batch {bad.batch_idx}; learning "
            f"rates: {rates}).{images}{'.' if names else ''}"
        )


class FinitePredictions(Callback):
    """End `validate` and `test` where a prediction is NaN or infinite: a rank or a threshold would still score it.

    Predictions are what `validation_step` and `test_step` return, if that is a tensor. A device is waited for once.
    """

    def __init__(self) -> None:
        self._finite: list[Tensor] = []

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, *_: object, **__: object
    ) -> None:
        """Look at a batch, but do not wait for the answer."""
        if isinstance(outputs, Tensor):
            self._finite.append(outputs.isfinite().all())

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Raise ConfigError, on every process, where one of them has seen a prediction that is no number."""
        bad = bool(self._finite) and not torch.stack(self._finite).all()
        self._finite = []
        if trainer.strategy.reduce_boolean_decision(bad, all=False):
            raise ConfigError(
                "The model predicts NaN: its training diverged. Take an earlier checkpoint, or train at a lower rate."
            )

    on_test_batch_end = on_validation_batch_end
    on_test_epoch_end = on_validation_epoch_end
