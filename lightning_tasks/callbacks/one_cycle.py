"""The callback that carries `schedule.one_cycle` out."""

from pytorch_lightning import LightningModule, Trainer

from lightning_tasks.callbacks.scheduled import NO_DECAY, Group, Rates, Scheduled, check_share
from lightning_tasks.training.progress import Timetable
from lightning_tasks.training.schedule import one_cycle
from lightning_tasks.training.stage_table import Stage


class OneCycle(Scheduled):
    """fastai's `fit_one_cycle`: before each batch, set every group's learning rate and momentum.

    The rate is a function of the share of the training that is done, so a resumed run continues where it stopped, also
    with epochs of another length. With more epochs than before it is at the share that those so far are of the new
    number: its rate rises there, but not above the highest. Each group's highest rate is its `max_lr`, or the `lr` that
    its optimiser was made with. For what it logs see Scheduled.

    Args:
        pct_start: the share of the batches in which the rate rises.
        div: the highest rate over the first.
        div_final: the highest rate over the last.
        momentums: at the start, at the highest rate, at the end.
    """

    _title = "one_cycle"

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

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lay the schedule out over the run's steps, which must be known."""
        self.lay_out(trainer)
        for number, group in enumerate(g for optimizer in trainer.optimizers for g in optimizer.param_groups):
            group.setdefault("max_lr", group["lr"])
            group.setdefault("name", str(number))

    def _shown(self, trainer: Trainer) -> list[Group]:
        return [group for group in trainer.optimizers[0].param_groups if not group["name"].endswith(NO_DECAY)]

    def _stages(self, timetable: Timetable) -> list[Stage]:
        return [Stage("one cycle", "everything", range(timetable.spans[0].end_step))]

    def _rates(self, timetable: Timetable, step: int, pl_module: LightningModule) -> Rates:
        position = timetable.span(step).position(step)
        rate = one_cycle(position, self.pct_start, self.div, self.div_final, self.momentums)
        return lambda group: group["max_lr"] * rate.lr_factor, rate.momentum
