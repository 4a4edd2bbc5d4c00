"""Settings of a run: those that Lightning fails on later, those that the model decides, and its config.yaml."""

import pydoc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentParser, Namespace
from pytorch_lightning import LightningDataModule, LightningModule, Trainer
from pytorch_lightning.cli import SaveConfigCallback

from lightning_tasks.atomic_write import put_whole
from lightning_tasks.cores import usable_cores
from lightning_tasks.errors import ConfigError
from lightning_tasks.models.base import ImageModel
from lightning_tasks.run_options import MODELS_OWN

_LEAST = {"accumulate_grad_batches": 1, "check_val_every_n_epoch": 1, "gradient_clip_val": 0, "log_every_n_steps": 0}
_PROCESSES_A_CORE = 8  # more would swap, not train; fewer may be tried out on a small machine


def check_trainer(settings: Mapping[str, Any]) -> None:
    """Look at settings that are no error of Lightning's until it divides by them.

    Raises:
        ConfigError: one cannot be used.
    """
    if settings.get("barebones"):
        raise ConfigError(
            "trainer.barebones leaves out checkpoints, scores and logs: nothing would be left. Leave it out."
        )
    for name, least in _LEAST.items():
        value = settings.get(name)
        if isinstance(value, int | float) and value < least:
            raise ConfigError(f"trainer.{name} is {value}; it must be at least {least}.")
    # Far more processes than a CPU has cores; of GPUs Lightning knows how many there are.
    on_cpu = settings.get("accelerator") == "cpu" or not torch.accelerator.is_available()
    devices, most = str(settings.get("devices")), _PROCESSES_A_CORE * usable_cores()
    if on_cpu and devices.isdecimal() and int(devices) > most:
        raise ConfigError(
            f"trainer.devices is {devices}: so many processes on {usable_cores()} cores. One process uses all cores of "
            f"a CPU: leave it out, or give at most {most}."
        )
    interval = settings.get("val_check_interval")
    if isinstance(interval, int | float) and interval <= 0:
        raise ConfigError(
            f"trainer.val_check_interval is {interval}; it must be above 0. Without validation: "
            "trainer.limit_val_batches 0."
        )


def choose_checkpoints(config: Namespace) -> None:
    """Let the model say in a verb's config which checkpoint is the best, unless the user does; name each by its own."""
    checkpoint = config.get("checkpoint")
    if not checkpoint:
        return
    found = pydoc.locate(str(config.model.class_path)) if config.get("model") else None
    model = found if isinstance(found, type) and issubclass(found, ImageModel) else None
    if checkpoint.monitor == MODELS_OWN:
        checkpoint.monitor = model.monitor if model else None
    if checkpoint.mode == MODELS_OWN:
        checkpoint.mode = model.mode_of(checkpoint.monitor) if model and checkpoint.monitor else "min"
    if checkpoint.save_top_k not in (0, 1) and "{" not in str(checkpoint.filename):
        checkpoint.filename = f"{checkpoint.filename}-{{epoch}}"  # or they would write over each other
    if checkpoint.dirpath:
        checkpoint.enable_version_counter = True  # another run's may lie there


def make_data(section: Namespace, **options: Any) -> LightningDataModule:  # noqa: ANN401 - whatever options hold
    """Make the data alone by a config's section `data`, with some of its options as they are given here."""
    data = section.clone()
    for name, value in options.items():
        data[f"init_args.{name}"] = value
    parser = ArgumentParser()
    parser.add_subclass_arguments(LightningDataModule, "data")
    made: LightningDataModule = parser.instantiate_classes({"data": data}).data
    return made


class SavedConfig(SaveConfigCallback):
    """Write the run's settings whole or not at all; Lightning's own would leave half of them after a kill."""

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write config.yaml into the run's folder; the first process alone comes here."""
        text = self.parser.dump(self.config, skip_none=False)
        path = Path(trainer.default_root_dir) / self.config_filename
        put_whole(path, lambda new: new.write_text(text, encoding="utf-8"))
