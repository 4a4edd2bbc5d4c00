"""The callback that carries `schedule.fine_tune` out."""

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.strategies import DDPStrategy, FSDPStrategy, ModelParallelStrategy
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from lightning_tasks.callbacks.scheduled import NO_DECAY, Group, Rates, Scheduled, check_share
from lightning_tasks.errors import ConfigError
from lightning_tasks.training.progress import Timetable
from lightning_tasks.training.schedule import fine_tune
from lightning_tasks.training.stage_table import Stage

_DEPTHS = ("early", "late", "head")
# As in fastai, group normalisation is none of them. On a CPU torch 2.9 to 2.12 also crash in its backward pass where
# its channels_last input needs no gradient.
_NORMS = (_BatchNorm, nn.LayerNorm)
_LR_MULT = 100.0  # fastai's


class FineTune(Scheduled):
    """fastai's `fine_tune`: the head alone for some epochs, then everything, by two one-cycles.

    The module has a `backbone`, and its optimiser's groups are named `early`, `late` and `head` (and those with
    `_no_decay` behind it). All parameters are in the optimiser from the start, and the stage follows from the epoch, so
    a resumed run is in the right one, also with epochs of another length; see OneCycle. The optimiser's state is
    cleared where the stages meet. For what it logs see Scheduled.

    Args:
        epochs: with everything unfrozen. The Trainer's `max_epochs` decides: these are what is left of it. The command
            line takes it from the plan where it is not given; from Python give `max_epochs=plan.max_epochs`.
        freeze_epochs: before them, with the body frozen but for its batch and layer normalisation.
        base_lr: the head's highest rate while frozen; None: the module's `lr`.
        lr_mult: the head's rate over the earliest group's, when unfrozen. None: the module's (`model.lr_mult`) where it
            was given another than its default, else fastai's 100.
        pct_start: the share of the unfrozen batches in which the rate rises.
        freeze_pct_start: likewise of the frozen ones. fastai lets it rise to their end; for a run that ends frozen
            (`epochs` 0: a linear probe), such as 0.3.
        div: the highest rate over the first, when unfrozen.
        freeze_norm: freeze the normalisation layers too, with their running statistics; the body then needs no
            backward pass.
    """

    _title = "fine_tune"

    def __init__(
        self,
        epochs: int,
        freeze_epochs: int = 1,
        base_lr: float | None = None,
        lr_mult: float | None = None,
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
        self.takes_lr = base_lr is None
        self._end_frozen = 0  # the first step that is not

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
        given = getattr(pl_module, "given_lr_mult", self.lr_mult)
        if None not in (given, self.lr_mult) and given != self.lr_mult:
            raise ConfigError(
                f"The head's rate over the body's is given twice: model.lr_mult is {given}, FineTune's lr_mult "
                f"{self.lr_mult}. Leave out one."
            )
        _freeze(_backbone(pl_module), False, self.freeze_norm)
        strategy = trainer.strategy
        if isinstance(strategy, FSDPStrategy | ModelParallelStrategy):
            raise ConfigError("FineTune cannot freeze what FSDP has cut into shards. Use OneCycle, or strategy ddp.")
        if isinstance(strategy, DDPStrategy) and not strategy._ddp_kwargs.setdefault("find_unused_parameters", True):
            raise ConfigError("FineTune freezes under DDP, which needs find_unused_parameters. Leave it out, or true.")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lay the plan out over the run's steps, which must be known."""
        for optimizer in trainer.optimizers:
            for number, group in enumerate(optimizer.param_groups):
                if str(group.get("name")).removesuffix(NO_DECAY) not in _DEPTHS:
                    raise ConfigError(
                        f"FineTune needs groups of the optimiser that are named {', '.join(_DEPTHS)}; group {number} "
                        f"of {type(optimizer).__name__} is not. Give each a 'name' in configure_optimizers."
                    )
        self._end_frozen = self.lay_out(trainer, (self.freeze_epochs,)).spans[0].end_step
        _freeze(_backbone(pl_module), trainer.global_step < self._end_frozen, self.freeze_norm)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        """Unfreeze where the stages meet, and set rates and momentum."""
        if trainer.global_step == self._end_frozen:
            _freeze(_backbone(pl_module), False, self.freeze_norm)
            for optimizer in trainer.optimizers:
                optimizer.state.clear()
        super().on_train_batch_start(trainer, pl_module, batch, batch_idx)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave nothing frozen, wherever the run ended."""
        _freeze(_backbone(pl_module), False, self.freeze_norm)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Likewise after an error or Ctrl-C."""
        self.teardown(trainer, pl_module, "fit")

    def _shown(self, trainer: Trainer) -> list[Group]:
        return [{"name": depth} for depth in _DEPTHS]

    def _stages(self, timetable: Timetable) -> list[Stage]:
        frozen, unfrozen = (range(span.first_step, span.end_step) for span in timetable.spans)
        trained = "head" if self.freeze_norm else "head, normalisation"
        return [Stage("frozen", trained, frozen), Stage("unfrozen", "everything", unfrozen)]

    def _rates(self, timetable: Timetable, step: int, pl_module: LightningModule) -> Rates:
        base_lr = float(pl_module.lr if self.base_lr is None else self.base_lr)  # type: ignore[arg-type]  # a Module's attributes are taken for tensors
        lr_mult = self.lr_mult or getattr(pl_module, "given_lr_mult", None) or _LR_MULT
        span = timetable.span(step)
        frozen, position = span == timetable.spans[0], span.position(step)
        rates = fine_tune(frozen, position, base_lr, lr_mult, self.pct_start, self.freeze_pct_start, self.div)
        by_depth = dict(zip(_DEPTHS, rates.lrs, strict=True))
        return lambda group: by_depth[group["name"].removesuffix(NO_DECAY)], rates.momentum


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
