"""What the callbacks with schedules ask of an optimiser's parameter groups and of their user."""

from collections.abc import Mapping
from typing import Any

from pytorch_lightning import LightningModule, Trainer

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


def log_rates(trainer: Trainer, pl_module: LightningModule, lrs: Mapping[str, float], momentum: float) -> None:
    """Log `lr/<group>` and `momentum/<group>`, in the steps that are logged alone.

    Each number that Lightning is given goes to the device, and a GPU is waited for.
    """
    if trainer._logger_connector.should_update_logs:  # as Lightning's LearningRateMonitor asks
        pl_module.log_dict({f"lr/{name}": lr for name, lr in lrs.items()})
        pl_module.log_dict({f"momentum/{name}": momentum for name in lrs})


def check_share(name: str, value: float) -> float:
    """Return a share of the batches in which the rate rises.

    Raises:
        ConfigError: it does not lie from 0 to 1.
    """
    if not 0 <= value <= 1:
        raise ConfigError(f"{name} is {value}; it is a share of the batches, from 0 to 1.")
    return value
