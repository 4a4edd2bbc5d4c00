"""The callback that carries `schedule.fine_tune` out."""

import math

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.strategies import DDPStrategy, FSDPStrategy, ModelParallelStrategy
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from lightning_tasks.errors import ConfigError
from lightning_tasks.reports.tensorboard import tensorboard_writer
from lightning_tasks.training.groups import DEPTHS, check_groups, check_share, log_rates, set_momentum
from lightning_tasks.training.schedule import GroupRates, fine_tune
from lightning_tasks.training.stages import Stage, stages_table

# As in fastai, group normalisation is none of them. On a CPU torch 2.9 to 2.12 also crash in its backward pass where
# its channels_last input needs no gradient.
_NORMS = (_BatchNorm, nn.LayerNorm)


class FineTune(Callback):
    """fastai's `fine_tune`: the head alone for some epochs, then everything, by two one-cycles.

    The module has a `backbone`, and its optimiser's groups are named `early`, `late` and `head` (and those with
    `_no_decay` behind it). All parameters are in the optimiser from the start, and the stage follows from the step, so
    a resumed run is in the right one. The optimiser's state is cleared where the stages meet. Logs `lr/<group>` and
    `momentum/<group>`, and before the first batch a table of the stages into TensorBoard.

    Args:
        epochs: with everything unfrozen. The Trainer's `max_epochs` decides: these are what is left of it. The command
            line takes it from the plan where it is not given; from Python give `max_epochs=plan.max_epochs`.
        freeze_epochs: before them, with the body frozen but for its batch and layer normalisation.
        base_lr: the head's highest rate while frozen; None: the module's `lr`.
        lr_mult: the head's rate over the earliest group's, when unfrozen.
        pct_start: the share of the unfrozen batches in which the rate rises.
        freeze_pct_start: likewise of the frozen ones. fastai lets it rise to their end; for a run that ends frozen
            (`epochs` 0: a linear probe), such as 0.3.
        div: the highest rate over the first, when unfrozen.
        freeze_norm: freeze the normalisation layers too, with their running statistics; the body then needs no
            backward pass.
    """

    def __init__(
        self,
        epochs: int,
        freeze_epochs: int = 1,
        base_lr: float | None = None,
        lr_mult: float = 100.0,
        pct_start: float = 0.3,
        freeze_pct_start: float = 0.99,
        div: float = 5.0,
        freeze_norm: bool = False,
    ) -> None:
        self.epochs = epochs
        self.freeze_epochs = freeze_epochs
        self.base_lr = base_lr
        self.lr_mult = lr_mult
        self.pct_start = check_share("FineTune.pct_start", pct_start)
        self.freeze_pct_start = check_share("FineTune.freeze_pct_start", freeze_pct_start)
        self.div = div
        self.freeze_norm = freeze_norm
        self._frozen_steps = 0
        self._total_steps = 0
        self._steps_an_epoch = 1
        self._described = False

    @property
    def max_epochs(self) -> int:
        """The plan's length."""
        return self.freeze_epochs + self.epochs

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Let DDP, which wraps the module next, gather the gradients of all parameters, and live with fewer of them.

        What it wraps frozen it never averages, and the processes would drift apart in silence once it is unfrozen; what
        is frozen afterwards it waits for in vain, unless it is to look for unused parameters.
        """
        if stage != "fit":
            return
        _freeze(_backbone(pl_module), False, self.freeze_norm)
        strategy = trainer.strategy
        if isinstance(strategy, FSDPStrategy | ModelParallelStrategy):
            raise ConfigError("FineTune cannot freeze what FSDP has cut into shards. Use OneCycle, or strategy ddp.")
        if isinstance(strategy, DDPStrategy) and not strategy._ddp_kwargs.setdefault("find_unused_parameters", True):
            raise ConfigError("FineTune freezes under DDP, which needs find_unused_parameters. Leave it out, or true.")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lay the plan out over the run's steps, which must be known."""
        total = trainer.estimated_stepping_batches
        if total == float("inf"):
            raise ConfigError("FineTune needs to know the run's length. Set --trainer.max_epochs.")
        check_groups(trainer)
        self._steps_an_epoch = math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
        self._total_steps = int(total)
        self._frozen_steps = min(self._total_steps, self._steps_an_epoch * self.freeze_epochs)
        self._described = trainer.global_step > 0  # by the run that goes on
        self._set_stage(trainer, pl_module)  # of a new run, or of one that goes on

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        """Freeze or unfreeze, and set rates and momentum."""
        step = trainer.global_step
        if step == self._frozen_steps:
            self._set_stage(trainer, pl_module)
        rates = self._rates(step, pl_module)
        if not self._described:  # not sooner: LRFinder may have to find the rate first
            self._describe(trainer, pl_module)
        for optimizer in trainer.optimizers:
            if step == self._frozen_steps:
                optimizer.state.clear()
            _set_rates(optimizer, rates.lrs, rates.momentum)
        log_rates(trainer, pl_module, dict(zip(DEPTHS, rates.lrs, strict=True)), rates.momentum)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave nothing frozen, wherever the run ended."""
        _freeze(_backbone(pl_module), False, self.freeze_norm)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Likewise after an error or Ctrl-C."""
        self.teardown(trainer, pl_module, "fit")

    def _rates(self, step: int, pl_module: LightningModule) -> GroupRates:
        base_lr = float(pl_module.lr if self.base_lr is None else self.base_lr)  # type: ignore[arg-type]  # a Module's attributes are taken for tensors
        return fine_tune(
            step,
            self._frozen_steps,
            self._total_steps,
            base_lr,
            self.lr_mult,
            self.pct_start,
            self.freeze_pct_start,
            self.div,
        )

    def _describe(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._described = True
        writer = tensorboard_writer(trainer)
        if writer is None:
            return
        stages = [
            Stage("frozen", "head" if self.freeze_norm else "head, normalisation", range(self._frozen_steps)),
            Stage("unfrozen", "everything", range(self._frozen_steps, self._total_steps)),
        ]
        table = stages_table(stages, self._steps_an_epoch, DEPTHS, lambda step: self._rates(step, pl_module).lrs)
        writer.add_text("fine_tune", table)

    def _set_stage(self, trainer: Trainer, pl_module: LightningModule) -> None:
        _freeze(_backbone(pl_module), trainer.global_step < self._frozen_steps, self.freeze_norm)


def _backbone(pl_module: LightningModule) -> nn.Module:
    backbone = getattr(pl_module, "backbone", None)
    if not isinstance(backbone, nn.Module):
        raise ConfigError(f"FineTune needs a module `backbone` to freeze; {type(pl_module).__name__} has none.")
    return backbone


def _freeze(backbone: nn.Module, frozen: bool, freeze_norm: bool) -> None:
    for module in backbone.modules():
        trained = not frozen or (isinstance(module, _NORMS) and not freeze_norm)
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad_(trained)
        if isinstance(module, _NORMS):
            module.train(trained and backbone.training)


def _set_rates(optimizer: torch.optim.Optimizer, lrs: tuple[float, ...], momentum: float) -> None:
    by_name = dict(zip(DEPTHS, lrs, strict=True))
    for group in optimizer.param_groups:
        group["lr"] = by_name[group["name"].removesuffix("_no_decay")]
        set_momentum(group, momentum)
