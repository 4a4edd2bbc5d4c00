"""The callback that carries `schedule.fine_tune` out."""

from itertools import chain

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.strategies import DDPStrategy, FSDPStrategy, ModelParallelStrategy
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from lightning_tasks.callbacks.scheduled import NO_DECAY, Group, Rates, Scheduled, check_share
from lightning_tasks.errors import ConfigError
from lightning_tasks.models.backbone import Backbone
from lightning_tasks.models.optimizer import stage_name
from lightning_tasks.training.progress import Timetable
from lightning_tasks.training.schedule import fine_tune, fine_tune_stages
from lightning_tasks.training.stage_table import Stage

_DEPTHS = ("early", "late", "head")
# As in fastai, group normalisation is none of them. On a CPU torch 2.9 to 2.12 also crash in its backward pass where
# its channels_last input needs no gradient.
_NORMS = (_BatchNorm, nn.LayerNorm)
_LR_MULT = 100.0  # fastai's


class FineTune(Scheduled):
    """fastai's `fine_tune`: the head alone for some epochs, then everything, by two one-cycles.

    Or, from a head that knows its task (after LinearProbe, say), everything at small rates that fall from stage to
    stage: `freeze_epochs=0`, `stage_decay`, `freeze_depth`, `keep_statistics`. Source: Kumar et al., "Fine-Tuning can
    Distort Pretrained Features and Underperform Out-of-Distribution", 2022.

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
        stage_decay: when unfrozen, the rate of each stage of the body over the next one's, and of the last over the
            base rate, which is not halved then; the body has timm's stages in place of two groups. None: fastai's.
        head_factor: with stage_decay: the head's rate over the base rate; small where the head is a fitted one.
        freeze_depth: this share of the body's stages, from the earliest, rounded, stays frozen in all epochs, with
            normalisation and its statistics; the last never does. The backward pass ends where they begin.
        keep_statistics: batch normalisation keeps its running statistics in all epochs, in body and head; its scale and
            shift are trained as `freeze_norm` says.
    """

    _title = "fine_tune"
    _depths: tuple[str, ...] = _DEPTHS

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
        stage_decay: float | None = None,
        head_factor: float = 1.0,
        freeze_depth: float = 0.0,
        keep_statistics: bool = False,
    ) -> None:
        self.epochs = epochs
        self.freeze_epochs = freeze_epochs
        self.base_lr = base_lr
        self.lr_mult = lr_mult
        self.pct_start = check_share("FineTune.pct_start", pct_start)
        self.freeze_pct_start = check_share("FineTune.freeze_pct_start", freeze_pct_start)
        self.div = div
        self.freeze_norm = freeze_norm
        self.stage_decay, self.head_factor = stage_decay, head_factor
        _check_rates(stage_decay, head_factor, lr_mult, freeze_depth)
        self.freeze_depth = freeze_depth
        self.keep_statistics = keep_statistics
        self.takes_lr = base_lr is None
        self._end_frozen = 0  # the first step that is not
        self._kept_frozen = 0  # so many stages are frozen in all epochs

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
        if self.stage_decay is not None and given is not None:
            raise ConfigError(
                "FineTune's stage_decay and model.lr_mult both say how rates fall with depth. Leave out one."
            )
        _release(_backbone(pl_module))
        self._ask_for_stages(pl_module)
        strategy = trainer.strategy
        if isinstance(strategy, FSDPStrategy | ModelParallelStrategy):
            raise ConfigError("FineTune cannot freeze what FSDP has cut into shards. Use OneCycle, or strategy ddp.")
        if isinstance(strategy, DDPStrategy) and not strategy._ddp_kwargs.setdefault("find_unused_parameters", True):
            raise ConfigError("FineTune freezes under DDP, which needs find_unused_parameters. Leave it out, or true.")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lay the plan out over the run's steps, which must be known."""
        for optimizer in trainer.optimizers:
            for number, group in enumerate(optimizer.param_groups):
                if str(group.get("name")).removesuffix(NO_DECAY) not in self._depths:
                    names = ", ".join(self._depths)
                    raise ConfigError(
                        f"FineTune needs groups of the optimiser that are named {names}; group {number} of "
                        f"{type(optimizer).__name__} is not. Give each a 'name' in configure_optimizers."
                    )
        self._end_frozen = self.lay_out(trainer, (self.freeze_epochs,)).spans[0].end_step
        self._freeze(pl_module, trainer.global_step < self._end_frozen)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        """Unfreeze where the stages meet, and set rates and momentum."""
        if trainer.global_step == self._end_frozen:
            self._freeze(pl_module, False)
            for optimizer in trainer.optimizers:
                optimizer.state.clear()
        super().on_train_batch_start(trainer, pl_module, batch, batch_idx)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave nothing frozen, wherever the run ended."""
        _release(_backbone(pl_module))
        if self.keep_statistics:
            for module in filter(lambda module: isinstance(module, _BatchNorm), pl_module.modules()):
                module.train(pl_module.training)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Likewise after an error or Ctrl-C."""
        self.teardown(trainer, pl_module, "fit")

    def _shown(self, trainer: Trainer) -> list[Group]:
        return [{"name": depth} for depth in self._depths]

    def _stages(self, timetable: Timetable) -> list[Stage]:
        frozen, unfrozen = (range(span.first_step, span.end_step) for span in timetable.spans)
        trained = "head" if self.freeze_norm else "head, normalisation"
        everything = f"all but the first {self._kept_frozen} stages" if self._kept_frozen else "everything"
        return [Stage("frozen", trained, frozen), Stage("unfrozen", everything, unfrozen)]

    def _rates(self, timetable: Timetable, step: int, pl_module: LightningModule) -> Rates:
        base_lr = float(pl_module.lr if self.base_lr is None else self.base_lr)  # type: ignore[arg-type]  # a Module's attributes are taken for tensors
        lr_mult = self.lr_mult or getattr(pl_module, "given_lr_mult", None) or _LR_MULT
        span = timetable.span(step)
        frozen, position = span == timetable.spans[0], span.position(step)
        if self.stage_decay is None or frozen:
            groups = len(self._depths)
            rates = fine_tune(
                frozen, position, base_lr, lr_mult, self.pct_start, self.freeze_pct_start, self.div, groups
            )
        else:
            shape = (self.head_factor, self.pct_start, self.div)
            rates = fine_tune_stages(position, len(self._depths) - 1, base_lr, self.stage_decay, *shape)
        by_depth = dict(zip(self._depths, rates.lrs, strict=True))
        return lambda group: by_depth[group["name"].removesuffix(NO_DECAY)], rates.momentum

    def _ask_for_stages(self, pl_module: LightningModule) -> None:
        """Have the optimiser's groups made that the plan needs, and find which stages stay frozen."""
        backbone = _backbone(pl_module)
        self._depths, self._kept_frozen = _DEPTHS, 0
        # Also where a plan before this one has asked for them; a Module's attributes are taken for tensors.
        pl_module.by_stage = self.stage_decay is not None  # type: ignore[assignment]
        if self.stage_decay is None and not self.freeze_depth:
            return
        if not isinstance(backbone, Backbone):
            raise ConfigError(
                f"FineTune knows no stages of a {type(backbone).__name__}. Leave stage_decay and freeze_depth out."
            )
        stages = len(backbone.stages())
        self._kept_frozen = min(round(self.freeze_depth * stages), stages - 1)
        if self.stage_decay is not None:
            self._depths = (*map(stage_name, range(stages)), "head")

    def _freeze(self, pl_module: LightningModule, frozen: bool) -> None:
        """Freeze the body, or release it but for its first stages; let batch normalisation learn statistics, or not."""
        backbone = _backbone(pl_module)
        for module in backbone.modules():
            trained = not frozen or (isinstance(module, _NORMS) and not self.freeze_norm)
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad_(trained)
        stages = backbone.stages() if isinstance(backbone, Backbone) else []
        for parameter in chain(*stages[: self._kept_frozen]):
            parameter.requires_grad_(False)
        for module in filter(lambda module: isinstance(module, _NORMS), backbone.modules()):
            learns = all(parameter.requires_grad for parameter in module.parameters(recurse=False))
            learns = learns and not (frozen and self.freeze_norm) and not self.keep_statistics
            module.train(learns and backbone.training)
        if self.keep_statistics:
            for module in filter(lambda module: isinstance(module, _BatchNorm), pl_module.modules()):
                module.eval()


def _check_rates(stage_decay: float | None, head_factor: float, lr_mult: float | None, freeze_depth: float) -> None:
    if stage_decay is None and head_factor != 1.0:
        raise ConfigError(
            f"FineTune.head_factor is {head_factor}, which counts with stage_decay alone. Give that, too."
        )
    if stage_decay is not None and lr_mult is not None:
        raise ConfigError("FineTune's stage_decay and lr_mult both say how rates fall with depth. Leave out one.")
    if stage_decay is not None and not 0 < stage_decay <= 1:
        raise ConfigError(f"FineTune.stage_decay is {stage_decay}; it must be above 0, and at most 1.")
    if not 0 <= freeze_depth < 1:
        raise ConfigError(f"FineTune.freeze_depth is {freeze_depth}; it is a share of the stages, from 0 to below 1.")
    if head_factor < 0:
        raise ConfigError(f"FineTune.head_factor is {head_factor}; it must not be negative.")


def _backbone(pl_module: LightningModule) -> nn.Module:
    backbone = getattr(pl_module, "backbone", None)
    if not isinstance(backbone, nn.Module):
        raise ConfigError(f"FineTune needs a module `backbone` to freeze; {type(pl_module).__name__} has none.")
    return backbone


def _release(backbone: nn.Module) -> None:
    backbone.requires_grad_(True)
    for module in backbone.modules():
        if isinstance(module, _NORMS):
            module.train(backbone.training)
