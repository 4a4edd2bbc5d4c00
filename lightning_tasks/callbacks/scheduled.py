"""What the callbacks share whose schedules take up a whole run."""

import math
from typing import Any

from pytorch_lightning import Callback, Trainer

from lightning_tasks.errors import ConfigError
from lightning_tasks.training.progress import Timetable, place, run_length


class Scheduled(Callback):
    """A callback whose stages take up a whole run, and keep their place in one that is resumed.

    Attributes:
        timetable: of the run, from its start.
        takes_lr: whether its rates follow the module's `lr`, also in a run that is resumed with another one.
    """

    takes_lr = False
    timetable: Timetable | None = None
    _before: Timetable | None = None  # of the run until its checkpoint

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return {} if self.timetable is None else self.timetable.state()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take what was stored."""
        self._before = Timetable.from_state(state_dict)

    def lay_out(self, trainer: Trainer, boundaries: tuple[int, ...] = ()) -> Timetable:
        """Make the timetable of a run that begins, or is resumed; say what is different since its checkpoint.

        Args:
            trainer: of the run.
            boundaries: the epochs at which stages end, but for the last.

        Raises:
            ConfigError: the run's length is not known.
        """
        total, length = trainer.estimated_stepping_batches, run_length(trainer)
        if total == float("inf") or total < 0 or (boundaries and length.batches == math.inf):
            name = type(self).__name__
            raise ConfigError(
                f"{name} needs to know the run's length. Set --trainer.max_epochs or --trainer.max_steps."
            )
        before, self._before = self._before, None
        step, epoch, batch = trainer.global_step, *place(trainer)
        if before is not None and length.is_paced_as(before.length) and boundaries == before.boundaries:
            self.timetable = before._replace(length=length)
        elif before is None and (length.batches == math.inf or step == -length.steps_until(0, epoch, batch)):
            self.timetable = Timetable.of_new_run(length, boundaries, int(total))  # or no sign that it ever was another
        else:
            self.timetable = Timetable.of_resumed_run(before, length, boundaries, step, epoch, batch)
        changes = "" if before is None else length.changes_from(before.length)
        if changes:
            share = self.timetable.span(step).position(step)
            trainer.print(f"resumed with     {changes}: the schedule continues at {share:.1%} of its cycle")
        return self.timetable
