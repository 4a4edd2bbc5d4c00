"""The callback that lets a run that was killed be resumed as if nothing had happened."""

from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader
from torchmetrics import Metric

from lightning_tasks.callbacks.scheduled import Scheduled
from lightning_tasks.checkpoint import AtomicCheckpointIO
from lightning_tasks.errors import ConfigError
from lightning_tasks.training.processes import of_all_processes
from lightning_tasks.training.progress import RunLength, run_length
from lightning_tasks.training.run_paths import last_checkpoint, run_folder

_TRAIN_METRICS = "train_metric_states"
_LENGTH = "run_length"


class LastCheckpoint(Callback):
    """Keep `checkpoints/last.ckpt` in the run's folder: after each epoch, and every N steps.

    It is written before the next batch begins, when everything about the last one is done and logged. What Lightning
    notes of its progress is rewritten, in every checkpoint that is saved, to the one thing a restart needs: how many
    epochs, and how many batches of the next one, were trained on. (Lightning's own restarts guess from counters which
    hook a checkpoint was saved in, replay the epoch's first batches, and lose half of its mean loss.)

    On a restart the training sampler is told where to continue, if it has `resume(epoch, rows)`, as those of our data
    modules have (with another one, Lightning replays the epoch's first batches, and says so); in an epoch of another
    length that is where as much of it is done. The metrics of the module whose names start with `train` get back what
    they had gathered. It stands before callbacks with schedules.

    Args:
        every_n_steps: also within epochs; None: after each epoch alone.
    """

    path: Path | None = None
    _saved_step = -1
    _logged_steps: int | None = None  # of a resumed run, until its first batch
    _length_before: RunLength | None = None  # of a resumed run
    _lr_before: object = None  # likewise; None: not known

    def __init__(self, every_n_steps: int | None = None) -> None:
        if every_n_steps is not None and every_n_steps < 1:
            raise ConfigError(f"last.every_n_steps is {every_n_steps}; it must be at least 1.")
        self.every_n_steps = every_n_steps

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Choose the file; in a resumed run, start the loader where the training stopped."""
        self.path = last_checkpoint(run_folder(trainer))
        if isinstance(io := trainer.strategy.checkpoint_io, AtomicCheckpointIO):
            io.in_background = True  # until its teardown
        if self._logged_steps is not None:
            self._resume(trainer)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        """Save what the batches before this one have led to."""
        step = trainer.global_step
        if self._logged_steps is not None:
            # Lightning counts one too many in either, depending on the hook that it believes the checkpoint is from.
            loop = trainer.fit_loop.epoch_loop
            loop._batches_that_stepped = self._logged_steps
            loop.batch_progress.total.ready = loop.batch_progress.total.completed + 1
            self._logged_steps, self._saved_step = None, step
        if batch_idx == 0 or (self.every_n_steps is not None and step % self.every_n_steps == 0):
            self.save(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the end."""
        self._saved_step = -1  # the last epoch's end may have changed what the step had left
        self.save(trainer)
        settle_checkpoints(trainer)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Rewrite the progress to a restart's view of it, and keep what training metrics have gathered."""
        fit_loop = checkpoint["loops"]["fit_loop"]
        epochs, batches = _position(fit_loop, trainer.num_training_batches)
        _set_position(fit_loop, epochs, batches)
        if pl_module.automatic_optimization:
            fit_loop["epoch_loop.state_dict"]["_batches_that_stepped"] = checkpoint["global_step"]
        checkpoint[_LENGTH] = list(run_length(trainer))
        if batches:
            metrics = _train_metrics(pl_module)
            gathered = {name: {"count": m._update_count, "state": m.metric_state} for name, m in metrics}
            checkpoint[_TRAIN_METRICS] = of_all_processes(gathered)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Put back what training metrics had gathered, and stay at the end of a run that was stopped early.

        Raises:
            ConfigError: more epochs are behind it than the run is to have.
        """
        epochs = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["completed"]
        if trainer.max_epochs not in (None, -1) and epochs > trainer.max_epochs:
            raise ConfigError(
                f"The checkpoint has {epochs} epochs behind it, and trainer.max_epochs is {trainer.max_epochs}, which "
                "counts from the run's start. Give it more epochs, or start anew without --ckpt_path."
            )
        self._logged_steps = logged_steps(checkpoint)
        self._length_before = RunLength(*checkpoint[_LENGTH]) if _LENGTH in checkpoint else None
        self._lr_before = checkpoint.get("hyper_parameters", {}).get("lr")
        gathered = checkpoint.get(_TRAIN_METRICS, [])
        if len(gathered) == trainer.world_size:
            for name, metric in _train_metrics(pl_module):
                kept = gathered[trainer.global_rank].get(name, {"count": 0, "state": {}})
                metric._update_count = kept["count"]
                for state, value in kept["state"].items():
                    setattr(metric, state, value.to(metric.device) if isinstance(value, Tensor) else value)
        for callback in trainer.early_stopping_callbacks:
            state = checkpoint["callbacks"].get(callback.state_key, {})
            if state.get("stopped_epoch") or state.get("stopping_reason"):  # the first epoch's number is 0
                trainer.should_stop = True

    def _resume(self, trainer: Trainer) -> None:
        """Start the loader where the training stopped, and say what is different, or cannot be, in the resumed run."""
        length, before = run_length(trainer), self._length_before
        progress: Any = trainer.fit_loop.epoch_loop.batch_progress.current
        progress.completed = progress.processed = progress.started = length.batch_like(progress.completed, before)
        progress.ready = progress.completed + 1
        loader = trainer.train_dataloader
        if isinstance(loader, DataLoader) and hasattr(loader.sampler, "resume"):  # or Lightning warns that it replays
            loader.sampler.resume(trainer.current_epoch, progress.completed * (loader.batch_size or 1))
            iter(trainer.fit_loop._data_fetcher)  # type: ignore[arg-type]  # Lightning began it before it restored it
        scheduled = [c for c in trainer.callbacks if isinstance(c, Scheduled)]  # type: ignore[attr-defined]  # Lightning sets it at run time
        if not scheduled and before is not None and (changes := length.changes_from(before)):
            trainer.print(f"resumed with     {changes}")
        # The optimiser is restored with its own rate.
        old, new = self._lr_before, getattr(trainer.lightning_module, "lr", None)
        known = isinstance(old, float) and isinstance(new, float)
        if known and old != new and not any(callback.takes_lr for callback in scheduled):
            trainer.print(f"learning rate    {old:g} as before, not {new:g}: that would need a new run")

    def save(self, trainer: Trainer) -> None:
        """Save what all the steps so far have led to, between two of them, unless it is saved already."""
        if trainer.fast_dev_run or trainer.global_step == self._saved_step:  # type: ignore[attr-defined]  # Lightning sets it at run time
            return  # a trial leaves nothing
        assert self.path is not None
        self._saved_step = trainer.global_step
        trainer.save_checkpoint(self.path, weights_only=False)


def settle_checkpoints(trainer: Trainer) -> None:
    """Wait until every checkpoint lies in its place and on the disk; CheckpointError where one cannot be written."""
    if isinstance(io := trainer.strategy.checkpoint_io, AtomicCheckpointIO):
        io.settle()


def logged_steps(checkpoint: dict[str, Any]) -> int:
    """Return the step that a run resumed from `checkpoint` logs next."""
    return int(checkpoint["loops"]["fit_loop"]["epoch_loop.state_dict"]["_batches_that_stepped"])


def _train_metrics(pl_module: LightningModule) -> list[tuple[str, Metric]]:
    return [(n, m) for n, m in pl_module.named_modules() if n.startswith("train") and isinstance(m, Metric)]


def _position(fit_loop: dict[str, Any], num_batches: float) -> tuple[int, int]:
    """Return how many epochs are done, and how many batches of the next one, in any hook of the training."""
    epochs, progress = fit_loop["epoch_progress"]["current"], fit_loop["epoch_loop.batch_progress"]
    done, batches = int(epochs["processed"]), int(progress["current"]["processed"])
    is_last = progress["is_last_batch"] and batches == progress["current"]["ready"]  # and was trained on
    whole = is_last or batches >= num_batches
    if done == epochs["ready"]:  # at an epoch's end, or between two
        # A run that ends within an epoch (max_steps, max_time) counts it as done all the same.
        return (done, 0) if whole or not batches else (done - 1, batches)
    return (done + 1, 0) if whole else (done, batches)  # whole: while it is validated


def _set_position(fit_loop: dict[str, Any], epochs: int, batches: int) -> None:
    """Write the position as Lightning would note it before the start of an epoch, or within one before a batch."""
    whole, within = fit_loop["epoch_progress"], fit_loop["epoch_loop.batch_progress"]
    before = whole["current"]["processed"]
    within["is_last_batch"], within["current"]["processed"] = False, batches
    for part in ("total", "current"):
        done = whole[part]["processed"] + epochs - before
        started = done + (batches > 0)
        whole[part] |= {"ready": started, "started": started, "processed": done, "completed": done}
        done = within[part]["processed"]
        within[part] |= {"ready": done + 1, "started": done, "processed": done, "completed": done}
