"""How far a training is, also one that is resumed with epochs of another length.

A schedule's place is a share of its training. Counted in steps alone it would jump where an epoch has more or fewer of
them than before: with another batch size, other rows, another number of processes, another accumulation.
"""

import math
from collections.abc import Sized
from typing import Any, NamedTuple, Self

from pytorch_lightning import Trainer
from torch.utils.data import DataLoader

_NO_END = -1  # Lightning's word for a limit that is not set
_NAMES = {"accumulate": "accumulate_grad_batches", "batch_size": "batch size", "images": "training images",
          "limit": "limit_train_batches"}  # fmt: skip


class RunLength(NamedTuple):
    """What decides how many steps a run takes, and, from `batch_size` on, what it follows from."""

    batches: float  # of an epoch, in each process; inf: not known
    accumulate: int  # batches that share a step of the optimiser
    max_epochs: int  # -1: no such limit
    max_steps: int  # likewise
    batch_size: int | None = None  # of each process; None: not known
    processes: int = 1
    images: int | None = None  # for training, in all processes
    limit: float | None = None  # Lightning's limit_train_batches

    @property
    def steps(self) -> int:
        """The optimiser's steps in an epoch, of which the last may have fewer batches."""
        return math.ceil(self.batches / self.accumulate)

    def steps_until(self, epochs: int, epoch: int, batch: int) -> int:
        """Return how many steps lie between `batch` of `epoch` and the end of `epochs`; below 0: it is past."""
        return (epochs - epoch) * self.steps - batch // self.accumulate

    def batch_like(self, batch: int, before: Self | None) -> int:
        """Return the batch of an epoch of this length at which as much of it is done as before `batch` of the other.

        It is the one before where none fits, and begins a step of the optimiser. None: the other is not known.
        """
        if before is None:
            return batch if self.batches == math.inf else min(batch, int(self.batches) - 1)
        if math.inf in (self.batches, before.batches) or self[:2] == before[:2]:
            return batch
        batch = int(batch * self.batches // before.batches)
        return batch - batch % self.accumulate

    def is_paced_as(self, other: Self) -> bool:
        """Return whether the same step is as far in either."""
        return self[:4] == other[:4]

    def changes_from(self, before: Self) -> str:
        """Return in words what is different; nothing where all is the same."""
        changes = ", ".join(
            f"{_NAMES.get(name, name)} {_number(old)} → {_number(new)}"
            for name, old, new in zip(self._fields[1:], before[1:], self[1:], strict=True)
            if old != new
        )
        if before.batches == self.batches:
            return changes
        epochs = f"{_number(self.batches)} instead of {_number(before.batches)} batches an epoch"
        return f"{epochs} ({changes})" if changes else epochs


def run_length(trainer: Trainer) -> RunLength:
    """Return the length of the run that a trainer has begun."""
    loader = trainer.train_dataloader
    batch_size = images = None
    if isinstance(loader, DataLoader):
        batch_size = loader.batch_size
        in_dataset = len(loader.dataset) if isinstance(loader.dataset, Sized) else None
        images = getattr(loader.sampler, "n", in_dataset)  # n: of our data modules
    return RunLength(
        trainer.num_training_batches,
        trainer.accumulate_grad_batches,
        _NO_END if trainer.max_epochs is None else trainer.max_epochs,
        trainer.max_steps,
        batch_size,
        trainer.world_size,
        images,
        trainer.limit_train_batches,
    )


class Span(NamedTuple):
    """Steps over which one cycle runs, and how much of it was behind before the first of them."""

    first_step: int
    end_step: int
    start: float = 0.0

    def position(self, step: int) -> float:
        """Return the share of the cycle that is behind before `step`: at most 1."""
        if step >= self.end_step:
            return 1.0
        # With a start of 0 it is the quotient of the two numbers of steps to the bit.
        return self.start + (1 - self.start) * (step - self.first_step) / (self.end_step - self.first_step)


class Timetable(NamedTuple):
    """The stages of a run: each a cycle of its own."""

    length: RunLength
    boundaries: tuple[int, ...]  # the epochs at which stages end, but for the last
    spans: tuple[Span, ...]  # of each stage

    @classmethod
    def of_new_run(cls, length: RunLength, boundaries: tuple[int, ...], total_steps: int) -> Self:
        """Return the timetable of a run from its first step."""
        ends = [*(min(total_steps, length.steps * epochs) for epochs in boundaries), total_steps]
        return cls(length, boundaries, tuple(map(Span, [0, *ends[:-1]], ends)))

    @classmethod
    def of_resumed_run(
        cls, before: Self | None, length: RunLength, boundaries: tuple[int, ...], step: int, epoch: int, batch: int
    ) -> Self:
        """Return the timetable of what is left, from `step` on, which is batch `batch` of epoch `epoch`.

        A stage that was under way continues from its position `before`, if that is known; with another number of epochs
        (or `max_steps`), from the share that its epochs so far are of the new number.
        """
        limits = [] if length.max_steps == _NO_END else [length.max_steps]
        if length.max_epochs != _NO_END and length.batches != math.inf:
            limits.append(step + length.steps_until(length.max_epochs, epoch, batch))
        total = max(min(limits), step)
        ends = [*(min(total, step + length.steps_until(epochs, epoch, batch)) for epochs in boundaries), total]
        now = next((stage for stage, end in enumerate(ends) if end > step), len(ends) - 1)
        if before is not None and (before.length[2:4], before.boundaries) == (length[2:4], boundaries):
            start = before.spans[now].position(step) if before.spans[now].first_step < step else 0.0
        elif length.batches == math.inf:
            start = step / total if total else 0.0
        else:
            done = epoch + batch / length.batches - [0, *boundaries][now]
            left = (ends[now] - step) / length.steps
            start = done / (done + left) if done + left > 0 else 0.0
        spans = list(map(Span, [0, *ends[:-1]], ends))
        spans[now] = Span(step, ends[now], start)
        return cls(length, boundaries, tuple(spans))

    def span(self, step: int) -> Span:
        """Return the steps of the stage that `step` is in."""
        return next((span for span in self.spans if span.end_step > step), self.spans[-1])

    def state(self) -> dict[str, Any]:
        """Return it in plain values, for a checkpoint."""
        return {"length": list(self.length), "boundaries": list(self.boundaries), "spans": list(map(list, self.spans))}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """Return what `state` had put into plain values."""
        spans = tuple(Span(*span) for span in state["spans"])
        return cls(RunLength(*state["length"]), tuple(state["boundaries"]), spans)


def place(trainer: Trainer) -> tuple[int, int]:
    """Return the epoch that is trained next, and which of its batches, both from 0."""
    loop = trainer.fit_loop
    progress = loop.epoch_loop.batch_progress
    if not progress.is_last_batch:
        return trainer.current_epoch, progress.current.completed
    # A checkpoint of Lightning's own that was written while the epoch's end was validated does not count it yet.
    uncounted = loop.restarted_mid_epoch and not loop.epoch_loop.restarted_on_train_batch_end
    return trainer.current_epoch + uncounted, 0


def _number(value: float | None) -> str:
    return "unknown" if value is None else "none" if value == _NO_END else str(value)  # 1.0: all batches; 1: one
