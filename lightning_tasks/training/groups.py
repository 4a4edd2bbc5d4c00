"""What the schedules ask of an optimiser's parameter groups."""

from typing import Any

from pytorch_lightning import Trainer

from lightning_tasks.errors import ConfigError

DEPTHS = ("early", "late", "head")


def check_groups(trainer: Trainer) -> None:
    """Raise ConfigError unless the groups of the optimisers are named by depth, as FineTune needs them."""
    for optimizer in trainer.optimizers:
        for number, group in enumerate(optimizer.param_groups):
            if str(group.get("name")).removesuffix("_no_decay") not in DEPTHS:
                raise ConfigError(
                    f"FineTune needs groups of the optimiser that are named {', '.join(DEPTHS)}; group {number} of "
                    f"{type(optimizer).__name__} is not. Give each a 'name' in configure_optimizers."
                )


def set_momentum(group: dict[str, Any], momentum: float) -> None:
    """Set Adam's first beta, or SGD's momentum; an optimiser with neither has none."""
    if "betas" in group:
        group["betas"] = (momentum, *group["betas"][1:])
    elif "momentum" in group:
        group["momentum"] = momentum
