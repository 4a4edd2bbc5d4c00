"""Why a training ended, where that was not its plan."""

from datetime import timedelta

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import EarlyStopping, Timer
from pytorch_lightning.callbacks.early_stopping import EarlyStoppingReason


class EndOfFit(Callback):
    """Know whether there was a step, and why there is none after the last."""

    _trained = False

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget a training before this one."""
        self._trained = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """There is something to be trained: Lightning does not come here otherwise."""
        self._trained = True

    def reason(self, trainer: Trainer) -> str | None:
        """Return a line that says why the fit has ended; None: after its epochs, as planned."""
        if trainer.limit_train_batches == 0 or trainer.fit_loop.max_batches == 0:
            why = "trainer.limit_train_batches is 0" if trainer.limit_train_batches == 0 else "there is no batch"
            return f"nothing was trained: {why}"
        early, (what, option) = _stopped_early(trainer), _limit(trainer)
        if self._trained:
            as_planned = _epochs_are_done(trainer) and not _steps_are_done(trainer)
            return None if as_planned else early or f"ended: {what}"
        if trainer.global_step == 0:
            return f"nothing was trained: {what}"
        if early is not None and not _epochs_are_done(trainer):
            return f"the run was over already: {early}; without EarlyStopping it continues"
        return f"the run was over already: {what}" + (f"; a larger --trainer.{option} continues it" if option else "")


def _steps_are_done(trainer: Trainer) -> bool:
    return trainer.max_steps != -1 and trainer.global_step >= trainer.max_steps


def _epochs_are_done(trainer: Trainer) -> bool:
    return trainer.max_epochs not in (None, -1) and trainer.current_epoch >= trainer.max_epochs


def _limit(trainer: Trainer) -> tuple[str, str]:
    """Return which limit was reached, and the option that sets it; an empty one where there was none."""
    if _steps_are_done(trainer):
        return f"max_steps {trainer.max_steps} reached", "max_steps"
    if _epochs_are_done(trainer):
        return f"max_epochs {trainer.max_epochs} reached", "max_epochs"
    for callback in trainer.callbacks:  # type: ignore[attr-defined]  # Lightning sets it at run time
        if isinstance(callback, Timer) and (left := callback.time_remaining()) is not None and left <= 0:
            limit = timedelta(seconds=round(callback.time_elapsed() + left))
            hours, seconds = divmod(limit.seconds, 3600)
            return f"max_time {limit.days:02}:{hours:02}:{seconds // 60:02}:{seconds % 60:02} reached", "max_time"
    return f"a callback stopped it after {trainer.global_step} steps", ""


def _stopped_early(trainer: Trainer) -> str | None:
    """Return what an EarlyStopping stopped at, if one did."""
    stopped = (c for c in trainer.early_stopping_callbacks if c.stopping_reason is not EarlyStoppingReason.NOT_STOPPED)
    return next((f"stopped early: {_what_stopped(callback, trainer)}" for callback in stopped), None)


def _what_stopped(callback: EarlyStopping, trainer: Trainer) -> str:
    name, reason = callback.monitor, callback.stopping_reason
    value = trainer.callback_metrics.get(name)  # there is none where nothing was trained
    scored = name if value is None else f"{name} {float(value):.4f}"
    if reason is EarlyStoppingReason.STOPPING_THRESHOLD:
        return f"{scored} has reached {callback.stopping_threshold}, EarlyStopping's stopping_threshold"
    if reason is EarlyStoppingReason.DIVERGENCE_THRESHOLD:
        return f"{scored} has passed {callback.divergence_threshold}, EarlyStopping's divergence_threshold"
    if reason is EarlyStoppingReason.NON_FINITE_METRIC:
        number = "" if value is None else f"{float(value)}, "
        return f"{name} is {number}not a finite number (EarlyStopping's check_finite)"
    return f"{name} has not improved on {float(callback.best_score):.4f} for {callback.wait_count} validations"
