"""The callback that carries `schedule.one_cycle` out."""

from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer

from lightning_tasks.callbacks.scheduled import Scheduled
from lightning_tasks.reports.tensorboard_writer import tensorboard_writer
from lightning_tasks.training.param_groups import check_share, log_rates, set_momentum
from lightning_tasks.training.progress import Timetable
from lightning_tasks.training.schedule import Rate, one_cycle
from lightning_tasks.training.stage_table import Stage, stages_table


class OneCycle(Scheduled):
    """fastai's `fit_one_cycle`: before each batch, set every group's learning rate and momentum.

    The rate is a function of the share of the training that is done, so a resumed run continues where it stopped, also
    with epochs of another length. With more epochs than before it is at the share that those so far are of the new
    number: its rate rises there, but not above the highest. Each group's highest rate is its `max_lr`, or the `lr` that
    its optimiser was made with. Logs `lr/<group>` and `momentum/<group>`, and before the first batch a table of the
    cycle into TensorBoard.

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
        self._described = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lay the schedule out over the run's steps, which must be known."""
        self.lay_out(trainer)
        for number, group in enumerate(g for optimizer in trainer.optimizers for g in optimizer.param_groups):
            group.setdefault("max_lr", group["lr"])
            group.setdefault("name", str(number))
        self._described = trainer.global_step > 0  # by the run that is resumed

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        """Set rate and momentum."""
        assert self.timetable is not None
        rate = self._rate(self.timetable, trainer.global_step)
        if not self._described:  # not sooner: LRFinder may have to find the rate first
            self._describe(trainer, self.timetable)
        for optimizer in trainer.optimizers:
            _set_rate(optimizer, rate.lr_factor, rate.momentum)
        log_rates(trainer, pl_module, {group["name"]: group["lr"] for group in _groups(trainer)}, rate.momentum)

    def _rate(self, timetable: Timetable, step: int) -> Rate:
        position = timetable.span(step).position(step)
        return one_cycle(position, self.pct_start, self.div, self.div_final, self.momentums)

    def _describe(self, trainer: Trainer, timetable: Timetable) -> None:
        self._described = True
        writer = tensorboard_writer(trainer)
        if writer is None or trainer.num_training_batches == float("inf"):
            return
        groups = _groups(trainer)
        table = stages_table(
            [Stage("one cycle", "everything", range(timetable.spans[0].end_step))],
            timetable.length.steps,
            [group["name"] for group in groups],
            lambda step: [group["max_lr"] * self._rate(timetable, step).lr_factor for group in groups],
        )
        writer.add_text("one_cycle", table)


def _groups(trainer: Trainer) -> list[dict[str, Any]]:
    """Return the groups of the first optimiser that are shown; the rate of one without decay is its sister's."""
    return [group for group in trainer.optimizers[0].param_groups if not group["name"].endswith("_no_decay")]


def _set_rate(optimizer: torch.optim.Optimizer, lr_factor: float, momentum: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = group["max_lr"] * lr_factor
        set_momentum(group, momentum)
