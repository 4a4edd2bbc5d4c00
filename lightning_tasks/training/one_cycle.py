"""The callback that carries `schedule.one_cycle` out."""

import math
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from lightning_tasks.errors import ConfigError
from lightning_tasks.reports.tensorboard import tensorboard_writer
from lightning_tasks.training.groups import check_share, log_rates, set_momentum
from lightning_tasks.training.schedule import Rate, one_cycle
from lightning_tasks.training.stages import Stage, stages_table


class OneCycle(Callback):
    """fastai's `fit_one_cycle`: before each batch, set every group's learning rate and momentum.

    The rate is a function of the step alone, so a resumed run continues where it stopped. Each group's highest rate is
    its `max_lr`, or the `lr` that its optimiser was made with. Logs `lr/<group>` and `momentum/<group>`,
    and before the first batch a table of the cycle into TensorBoard.

    Args:
        pct_start: the share of the batches in which the rate rises.
        div: the highest rate over the first.
        div_final: the highest rate over the last.
        momentums: at the start, at the highest rate, at the end.
    """

    def __init__(
        self,
        pct_start: float = 0.25,
        div: float = 25.0,
        div_final: float = 1e5,
        momentums: tuple[float, float, float] = (0.95, 0.85, 0.95),
    ) -> None:
        self.pct_start = check_share("OneCycle.pct_start", pct_start)
        self.div = div
        self.div_final = div_final
        self.momentums = momentums
        self._total_steps = 0
        self._described = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lay the schedule out over the run's steps, which must be known."""
        steps = trainer.estimated_stepping_batches
        if steps == float("inf"):
            raise ConfigError(
                "OneCycle needs to know the run's length. Set --trainer.max_epochs or --trainer.max_steps."
            )
        for number, group in enumerate(g for optimizer in trainer.optimizers for g in optimizer.param_groups):
            group.setdefault("max_lr", group["lr"])
            group.setdefault("name", str(number))
        self._total_steps = int(steps)
        self._described = trainer.global_step > 0  # by the run that goes on

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        """Set rate and momentum."""
        rate = self._rate(trainer.global_step)
        if not self._described:  # not sooner: LRFinder may have to find the rate first
            self._describe(trainer)
        for optimizer in trainer.optimizers:
            _set_rate(optimizer, rate.lr_factor, rate.momentum)
        log_rates(trainer, pl_module, {group["name"]: group["lr"] for group in _groups(trainer)}, rate.momentum)

    def _rate(self, step: int) -> Rate:
        return one_cycle(step, self._total_steps, self.pct_start, self.div, self.div_final, self.momentums)

    def _describe(self, trainer: Trainer) -> None:
        self._described = True
        writer = tensorboard_writer(trainer)
        if writer is None or trainer.num_training_batches == float("inf"):
            return
        groups = _groups(trainer)
        steps_an_epoch = math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
        table = stages_table(
            [Stage("one cycle", "everything", range(self._total_steps))],
            steps_an_epoch,
            [group["name"] for group in groups],
            lambda step: [group["max_lr"] * self._rate(step).lr_factor for group in groups],
        )
        writer.add_text("one_cycle", table)


def _groups(trainer: Trainer) -> list[dict[str, Any]]:
    """Return the groups of the first optimiser that are shown; the rate of one without decay is its sister's."""
    return [group for group in trainer.optimizers[0].param_groups if not group["name"].endswith("_no_decay")]


def _set_rate(optimizer: torch.optim.Optimizer, lr_factor: float, momentum: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = group["max_lr"] * lr_factor
        set_momentum(group, momentum)
