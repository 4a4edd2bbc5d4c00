"""What the callbacks share whose schedules take up a whole run."""

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from lightning_tasks.errors import ConfigError
from lightning_tasks.reports.tensorboard_writer import tensorboard_writer
from lightning_tasks.training.progress import Timetable, place, run_length
from lightning_tasks.training.stage_table import Stage, stages_table

Group = dict[str, Any]  # of an optimiser's parameters
Rates = tuple[Callable[[Group], float], float]  # what tells a group's learning rate; the momentum
NO_DECAY = "_no_decay"  # behind the name of a group whose rate is that of its sister


class Scheduled(Callback):
    """A callback whose stages take up a whole run, and keep their place in one that is resumed.

    Before each batch it sets every group's learning rate and momentum. It logs `lr/<group>` and `momentum/<group>`,
    and before the first batch a table of its stages into TensorBoard.

    Attributes:
        timetable: of the run, from its start.
        takes_lr: whether its rates follow the module's `lr`, also in a run that is resumed with another one.
    """

    takes_lr = False
    timetable: Timetable | None = None
    _before: Timetable | None = None  # of the run until its checkpoint
    _described = False
    _title = ""  # of the table

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return {} if self.timetable is None else self.timetable.state()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take what was stored."""
        self._before = Timetable.from_state(state_dict)

    def lay_out(self, trainer: Trainer, boundaries: tuple[int, ...] = ()) -> Timetable:
        """Make the timetable of a run that begins, or is resumed; say what is different since its checkpoint.

        The `boundaries` are the epochs at which stages end, but for the last.

        Raises:
            ConfigError: the run's length is not known.
        """
        total, length = trainer.estimated_stepping_batches, run_length(trainer)
        if total == math.inf or total < 0 or (boundaries and length.batches == math.inf):
            what = f"{type(self).__name__} needs to know the run's length."
            raise ConfigError(f"{what} Set --trainer.max_epochs or --trainer.max_steps.")
        before, self._before = self._before, None
        step, epoch, batch = trainer.global_step, *place(trainer)
        self._described = step > 0  # by the run that is resumed
        if before is not None and length.is_paced_as(before.length) and boundaries == before.boundaries:
            self.timetable = before._replace(length=length)
        elif before is None and (length.batches == math.inf or step == -length.steps_until(0, epoch, batch)):
            self.timetable = Timetable.of_new_run(length, boundaries, int(total))  # or no sign that it ever was another
        else:
            self.timetable = Timetable.of_resumed_run(before, length, boundaries, step, epoch, batch)
        if before is not None and (changes := length.changes_from(before.length)):
            share = self.timetable.span(step).position(step)
            trainer.print(f"resumed with     {changes}: the schedule continues at {share:.1%} of its cycle")
        return self.timetable

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        """Set rates and momentum."""
        timetable, shown = self.timetable, self._shown(trainer)
        assert timetable is not None
        writer = None if self._described else tensorboard_writer(trainer)
        self._described = True  # not sooner: LRFinder may have to find the rate first
        if writer is not None and timetable.length.batches != math.inf:
            table = stages_table(
                self._stages(timetable),
                timetable.length.steps,
                [group["name"] for group in shown],
                lambda step: list(map(self._rates(timetable, step, pl_module)[0], shown)),
            )
            writer.add_text(self._title, table)
        lr_of, momentum = self._rates(timetable, trainer.global_step, pl_module)
        for group in (group for optimizer in trainer.optimizers for group in optimizer.param_groups):
            group["lr"] = lr_of(group)
            if "betas" in group:  # Adam's
                group["betas"] = (momentum, *group["betas"][1:])
            elif "momentum" in group:  # SGD's
                group["momentum"] = momentum
        # Each number that is logged goes to the device, and a GPU is waited for; LearningRateMonitor asks this too.
        if trainer._logger_connector.should_update_logs:
            pl_module.log_dict({f"lr/{group['name']}": lr_of(group) for group in shown})
            pl_module.log_dict({f"momentum/{group['name']}": momentum for group in shown})

    @abstractmethod
    def _shown(self, trainer: Trainer) -> list[Group]:
        """Return the groups, of which one stands for those that share its rate."""

    @abstractmethod
    def _stages(self, timetable: Timetable) -> list[Stage]:
        """Return what the table shows."""

    @abstractmethod
    def _rates(self, timetable: Timetable, step: int, pl_module: LightningModule) -> Rates:
        """Return those of a step."""


def check_share(name: str, value: float) -> float:
    """Return a share of the batches in which the rate rises.

    Raises:
        ConfigError: it does not lie from 0 to 1.
    """
    if not 0 <= value <= 1:
        raise ConfigError(f"{name} is {value}; it is a share of the batches, from 0 to 1.")
    return value
