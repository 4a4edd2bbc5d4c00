"""The callback that finds a learning rate before the first batch."""

from typing import Any, Literal

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities.exceptions import _TunerExitException

from lightning_tasks.callbacks.fine_tune import FineTune
from lightning_tasks.errors import ConfigError
from lightning_tasks.reports.figure_file import write_figure
from lightning_tasks.reports.figures import lr_figure, lr_table, write_lr_csv
from lightning_tasks.training.lr_suggest import Suggestions, check_steps, suggest
from lightning_tasks.training.lr_sweep import Sweep, lr_sweep
from lightning_tasks.training.run_paths import run_folder

_UNTIL_FOUND = 1e-3  # the optimiser is made before the sweep


class LRFinder(Callback):
    """fastai's `lr_find` at the start of a `fit`: sweep, print four suggestions, and train with the chosen one.

    The module has an `lr`, which may be `"auto"`, and `configure_optimizers` uses it: the optimiser and its schedule
    are made anew with the rate that was found, so groups keep their ratio. The state of freezing is that of the run's
    first batch. A resumed run keeps the rate that it had found. Writes `lr_find.csv` and `lr_find.png` into the run's
    folder, and both into TensorBoard.

    Args:
        min_lr: where the sweep starts.
        max_lr: where it would end.
        steps: how many batches it takes, whatever the run's length; at least 23.
        method: which suggestion the run takes.
        only: stop after the sweep.

    Attributes:
        lr: the rate that was taken; None before, and with `only`.
        sweep: the curve; None in a resumed run; and `suggestions`, by all four methods.
    """

    def __init__(
        self,
        min_lr: float = 1e-7,
        max_lr: float = 10.0,
        steps: int = 100,
        method: Literal["valley", "slide", "minimum", "steep"] = "valley",
        only: bool = False,
    ) -> None:
        self.min_lr, self.max_lr, self.steps = min_lr, max_lr, steps
        self.method = method
        self.only = only
        self.lr: float | None = None
        self.sweep: Sweep | None = None
        self.suggestions: Suggestions | None = None
        self._was_auto = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Let the optimiser be made before there is a rate."""
        if stage != "fit":
            return
        check_steps(self.steps)
        self.lr = self.sweep = self.suggestions = None  # of a fit before this one
        if not hasattr(pl_module, "lr"):
            raise ConfigError(f"{type(pl_module).__name__} has no attribute `lr` for LRFinder to set.")
        if not self.only and any(isinstance(c, FineTune) and c.base_lr is not None for c in trainer.callbacks):  # type: ignore[attr-defined]  # Lightning sets it at run time
            raise ConfigError("FineTune's base_lr is given, so what LRFinder finds would not be used. Leave out one.")
        self._was_auto = pl_module.lr == "auto"
        if self._was_auto:
            _set_lr(pl_module, _UNTIL_FOUND)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Sweep once, before the run's first batch and after every other callback's `on_train_start`."""
        if self.lr is not None or trainer.fast_dev_run:  # type: ignore[attr-defined]  # Lightning sets it at run time
            return
        sweep = self.sweep = lr_sweep(trainer, pl_module, self.min_lr, self.max_lr, self.steps)
        suggested: dict[str, float] = {}
        try:
            self.suggestions = suggest(sweep.lrs, sweep.smoothed, self.steps)
            suggested = self.suggestions._asdict()
        finally:
            self._draw(trainer, sweep, suggested)  # also a curve that suggests nothing
        trainer.print("learning rates   " + "  ".join(f"{name} {lr:.2e}" for name, lr in suggested.items()))
        if self.only:
            raise _TunerExitException  # Lightning's own way to end a fit early and in order
        self.lr = suggested[self.method]
        trainer.print(f"learning rate    {self.lr:.2e} ({self.method})")
        self._take(pl_module, self.lr)
        trainer.strategy.setup_optimizers(trainer)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave `auto` as it was where no rate was taken."""
        if self._was_auto and self.lr is None:
            _set_lr(pl_module, "auto")

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Likewise after an error or Ctrl-C."""
        self.teardown(trainer, pl_module, "fit")

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return {"lr": self.lr}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Give the module the rate that was found, before its optimiser is made."""
        self.lr = checkpoint.get("callbacks", {}).get(self.state_key, {}).get("lr")
        if self.lr is None:
            raise ConfigError(
                "The checkpoint holds no rate that LRFinder found. Give the one that it was trained with (--model.lr "
                "RATE), without LRFinder."
            )
        self._take(pl_module, self.lr)

    def _take(self, pl_module: LightningModule, lr: float) -> None:
        _set_lr(pl_module, lr)
        if "lr" in pl_module.hparams:
            pl_module.hparams["lr"] = lr  # so that the checkpoint says what was trained with

    def _draw(self, trainer: Trainer, sweep: Sweep, suggested: dict[str, float]) -> None:
        folder = run_folder(trainer)
        if not trainer.is_global_zero:
            return
        folder.mkdir(parents=True, exist_ok=True)
        write_lr_csv(folder / "lr_find.csv", *sweep)
        figure = lr_figure(sweep.lrs, sweep.smoothed, suggested, None if self.only else self.method)
        write_figure(folder / "lr_find.png", figure)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_figure("lr_find", figure)
                logger.experiment.add_text("lr_find", lr_table(*sweep))


def _set_lr(pl_module: LightningModule, lr: float | str) -> None:
    pl_module.lr = lr  # type: ignore[assignment]  # a Module's attributes are taken for tensors
