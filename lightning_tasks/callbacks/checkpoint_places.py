"""Where a run's checkpoints lie and what they are called; which of them is the best."""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor

from lightning_tasks.errors import ConfigError
from lightning_tasks.training.run_paths import RUN_FOLDER, last_checkpoint


class BestCheckpoint(ModelCheckpoint):
    """Lightning's ModelCheckpoint; while the score is NaN in every validation, the newest is kept, not the first."""

    @property
    def state_key(self) -> str:
        """That of the base class: older runs can be resumed."""
        return ModelCheckpoint.__qualname__ + super().state_key.removeprefix(type(self).__qualname__)

    def check_monitor_top_k(self, trainer: pl.Trainer, current: Tensor | None = None) -> bool:
        """Return whether a checkpoint with the score `current`, a tensor of shape (), is kept."""
        if current is not None and self.save_top_k >= 1 and len(self.best_k_models) >= self.save_top_k:
            none_yet = not self.best_k_models[self.kth_best_model_path].isfinite()  # Lightning's mark of a NaN
            if trainer.strategy.reduce_boolean_decision(bool(current.isnan()) and none_yet):
                return True
        return bool(super().check_monitor_top_k(trainer, current))


def require_apart_and_inside(callbacks: Iterable[Callback]) -> None:
    """Look whether what a run's ModelCheckpoints save has names that are one's own, in the folder that is theirs.

    Raises:
        ConfigError: a name leads out of its folder, is that of `last.ckpt`, or of another's file; or Lightning could
            not tell two of them from each other.
    """
    ours = _model_checkpoints(callbacks)
    for callback in ours:
        name = Path(os.path.normpath(callback.filename or ""))
        if name.is_absolute() or os.pardir in name.parts:
            raise ConfigError(
                f"{callback.filename!r} as a checkpoint's filename leads out of its folder. Choose the folder by "
                "dirpath (checkpoint.dirpath), and leave the name alone in filename."
            )
        if callback.dirpath is None and (callback.save_last or name == Path(last_checkpoint(Path()).stem)):
            raise ConfigError(
                "checkpoints/last.ckpt is what a run is resumed from, and always kept. Leave save_last out of "
                "ModelCheckpoint (checkpoint.save_last), and give its filename another name."
            )
    places = [Path(callback.dirpath or "") / os.path.normpath(callback.filename or "") for callback in ours]
    for callback, place in zip(ours, places, strict=True):
        if not callback._enable_version_counter and callback.filename and places.count(place) > 1:  # it may be there
            raise ConfigError(
                f"Two ModelCheckpoints would write over each other's {place.name}.ckpt. Give one another filename."
            )
    keys = [callback.state_key for callback in ours]
    if alike := [key for key in keys if keys.count(key) > 1]:
        raise ConfigError(
            f"Two ModelCheckpoints are alike: {alike[0]}. One is the run's own, which --checkpoint.* sets; leave "
            "yours out, or give it another monitor, mode or every_n_epochs."
        )


class CheckpointPlaces(Callback):
    """Put what the run's ModelCheckpoints save into its folder, unless they were given another.

    Lightning asks the first logger for a place. A metric's name that has a `/` does not make folders of a file's name.

    Args:
        folder: the run's.
        goes_on: the run had begun there: its best so far is remembered, though the folder may have been moved.
    """

    def __init__(self, folder: Path, goes_on: bool) -> None:
        self.folder = folder
        self.goes_on = goes_on

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Choose folders and names: the callbacks that the module brings are there by now, too."""
        require_apart_and_inside(trainer.checkpoint_callbacks)
        for callback in _model_checkpoints(trainer.checkpoint_callbacks):
            if callback.auto_insert_metric_name and callback.filename:
                # `{val/mAP` becomes `val_mAP={val/mAP`.
                callback.filename = re.sub(
                    r"\{([^:}]+)", lambda found: f"{found[1].replace('/', '_')}={found[0]}", callback.filename
                )
                callback.auto_insert_metric_name = False
            if callback.dirpath is None:
                callback.dirpath = str(last_checkpoint(self.folder).parent)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Name the run, for checkpoints that lie outside its folder."""
        checkpoint[RUN_FOLDER] = str(self.folder)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Let each know its best so far, or say which that was."""
        for callback in _model_checkpoints(trainer.checkpoint_callbacks):
            state = checkpoint["callbacks"].get(callback.state_key)
            if not state or state["dirpath"] == callback.dirpath:
                continue
            if self.goes_on and callback.dirpath == str(last_checkpoint(self.folder).parent):
                checkpoint["callbacks"][callback.state_key] = _move(state, str(callback.dirpath))
                continue
            del checkpoint["callbacks"][callback.state_key]
            if (score := state["best_model_score"]) is not None:
                best = f"{callback.monitor} {score:.4f} in {state['best_model_path']}"
                trainer.print(f"best so far      {best}; from here on it is counted anew")


def _model_checkpoints(callbacks: Iterable[object]) -> list[ModelCheckpoint]:
    return [callback for callback in callbacks if isinstance(callback, ModelCheckpoint)]


def _move(state: dict[str, Any], folder: str) -> dict[str, Any]:
    """Return a ModelCheckpoint's state as if it had always saved in `folder`."""
    before = str(state["dirpath"])

    def path(old: str) -> str:
        return folder + old.removeprefix(before) if old.startswith(before) else old

    paths = {name: path(state[name]) for name in ("best_model_path", "kth_best_model_path", "last_model_path")}
    best = {path(old): score for old, score in state["best_k_models"].items()}
    return {**state, **paths, "best_k_models": best, "dirpath": folder}
