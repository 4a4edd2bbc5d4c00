"""Settings of Lightning's Trainer that it fails on later, or with a traceback."""

from collections.abc import Mapping
from typing import Any

import torch

from lightning_tasks.cores import usable_cores
from lightning_tasks.errors import ConfigError

_LEAST = {"accumulate_grad_batches": 1, "check_val_every_n_epoch": 1, "gradient_clip_val": 0, "log_every_n_steps": 0}
_PROCESSES_A_CORE = 8  # more would swap, not train; fewer may be tried out on a small machine


def check_trainer(settings: Mapping[str, Any]) -> None:
    """Look at settings that are no error of Lightning's until it divides by them.

    Raises:
        ConfigError: one cannot be used.
    """
    if settings.get("barebones"):
        raise ConfigError(
            "trainer.barebones leaves out checkpoints, scores and logs: nothing would be left. Leave it out. "
            "What the Trainer itself costs is measured by scripts/benchmark.py."
        )
    for name, least in _LEAST.items():
        value = settings.get(name)
        if isinstance(value, int | float) and value < least:
            raise ConfigError(f"trainer.{name} is {value}; it must be at least {least}.")
    _check_processes(settings)
    interval = settings.get("val_check_interval")
    if isinstance(interval, int | float) and interval <= 0:
        raise ConfigError(
            f"trainer.val_check_interval is {interval}; it must be above 0. Without validation: "
            "trainer.limit_val_batches 0."
        )


def _check_processes(settings: Mapping[str, Any]) -> None:
    """Refuse far more processes than a CPU has cores; of GPUs Lightning knows how many there are."""
    on_cpu = settings.get("accelerator") == "cpu" or not torch.accelerator.is_available()
    devices, most = str(settings.get("devices")), _PROCESSES_A_CORE * usable_cores()
    if on_cpu and devices.isdecimal() and int(devices) > most:
        raise ConfigError(
            f"trainer.devices is {devices}: so many processes on {usable_cores()} cores. One process uses all cores of "
            f"a CPU: leave it out, or give at most {most}."
        )
