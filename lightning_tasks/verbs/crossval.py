"""A cross-validation: which settings it takes, and what it leaves in its folder."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from jsonargparse import Namespace
from pytorch_lightning import LightningDataModule

from lightning_tasks.atomic_write import write_whole
from lightning_tasks.csv_text import write_csv
from lightning_tasks.data.datamodule import ImageDataModule
from lightning_tasks.errors import ConfigError
from lightning_tasks.folds import Fold, out_of_fold
from lightning_tasks.run_folders import relative_path

SCORES, OUT_OF_FOLD = "scores.csv", "out_of_fold.csv"
# What may change while it is resumed: it follows from the machine, or is only shown.
_MAY_CHANGE = {
    *("ckpt_path", "runs_dir", "run_name", "data.init_args.fold", "data.init_args.num_workers", "data.init_args.cache"),
    *("data.init_args.cache_dir", "data.init_args.cache_limit_gb", "data.init_args.device_cache", "last.every_n_steps"),
    *("trainer.accelerator", "trainer.devices", "trainer.enable_progress_bar", "trainer.enable_model_summary"),
    *("trainer.log_every_n_steps", "trainer.profiler", "data.init_args.mirrors"),
}


def check_settings(config: Namespace, datamodule: LightningDataModule | None) -> None:
    """Look whether folds can be trained by the settings of a `fit`.

    Raises:
        ConfigError: they cannot, or their scores would mean nothing.
    """
    if not isinstance(datamodule, ImageDataModule):
        raise ConfigError(f"crossval needs data with data.fold, which {type(datamodule).__name__} has not.")
    if datamodule.splitter is not None:
        raise ConfigError(
            "crossval draws the folds itself, and data.splitter is set, which would decide. Leave it out."
        )
    if datamodule.train_on_valid:
        raise ConfigError("data.train_on_valid trains on the very fold that is to be predicted. Leave it out.")
    if config.ckpt_path is not None:
        raise ConfigError(
            f"The config's ckpt_path, {config.ckpt_path}, would be what each training starts from, and may have "
            "been trained on the very fold. Leave it out; for crossval it is --ckpt_path last, or none."
        )
    trainer = config.trainer
    if trainer.fast_dev_run:
        raise ConfigError("trainer.fast_dev_run leaves nothing to score. Try it with `fit`.")
    if trainer.enable_checkpointing is False:
        raise ConfigError("trainer.enable_checkpointing false leaves no weights to score. Leave it out.")
    if config.checkpoint.dirpath:
        raise ConfigError(
            f"checkpoint.dirpath is {config.checkpoint.dirpath}, one folder for all folds; each keeps its own. "
            "Leave it out: --runs_dir chooses where they lie."
        )
    if _num_processes(trainer) > 1:
        raise ConfigError(
            f"crossval trains the folds one after the other, on one device; trainer.devices is {trainer.devices}, "
            f"trainer.num_nodes {trainer.num_nodes}. Give --trainer.devices 1; or each fold by itself: "
            "fit --data.fold 0, 1, ..."
        )


def _num_processes(trainer: Namespace) -> int:
    devices = trainer.devices
    if isinstance(devices, list):
        count = len(devices)
    elif str(devices).isdecimal():
        count = int(devices)
    elif isinstance(devices, str) and "," in devices:
        count = len([part for part in devices.split(",") if part.strip()])
    else:  # auto, or -1: all that there are
        count = 1 if trainer.accelerator == "cpu" else torch.accelerator.device_count()
    return max(1, count) * int(trainer.num_nodes or 1)


def require_same(text: str, config: Path) -> None:
    """Look whether the settings of a resumed cross-validation are those that its first fold was trained by.

    Raises:
        ConfigError: they differ in what its scores depend on.
    """
    before, now = (_flat(yaml.safe_load(content)) for content in (config.read_text(encoding="utf-8"), text))
    names = [name for name in {**before, **now} if before.get(name) != now.get(name) and name not in _MAY_CHANGE]
    if names:
        what = "; ".join(f"{name} is {now.get(name)}, and was {before.get(name)}" for name in names[:3])
        raise ConfigError(
            f"{config.parent.parent} was begun with other settings: {what}. Folds that are trained differently have no "
            "common mean: give the same command, or start anew without --ckpt_path."
        )


def _flat(settings: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in settings.items():
        found |= _flat(value, f"{above}{name}.") if isinstance(value, dict) else {f"{above}{name}": value}
    return found


def write_results(folder: Path, folds: Sequence[Fold]) -> None:
    """Write the scores and the predictions of all folds, and print what there is."""
    found, numbers = out_of_fold(folds)
    pooled = found.headline()
    each = {name: np.array([fold.found.headline()[name] for fold in folds]) for name in pooled}
    best = {f"best {fold.best[0]}" for fold in folds if fold.best is not None}
    if best:  # one name: all folds have the same settings
        each[best.pop()] = np.array([math.nan if fold.best is None else fold.best[1] for fold in folds])
    table = [["fold", *each]]
    table += [[str(fold.number), *(_cell(values[i]) for values in each.values())] for i, fold in enumerate(folds)]
    table.append(["mean", *(_cell(values.mean()) for values in each.values())])
    table.append(["std", *(_cell(values.std(ddof=1)) for values in each.values())])
    table.append(["pooled", *(_cell(pooled.get(name, math.nan)) for name in each)])
    write_csv(folder / SCORES, table)
    columns: list[str] = []

    def write(new: Path) -> None:
        plain = new.with_name(f"without_folds_{new.name}")
        columns.extend(found.write_csv(plain))
        with plain.open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
        name = "fold"
        while name in header:
            name += "_"
        write_csv(new, [[*header, name], *([*row, str(n)] for row, n in zip(rows, numbers, strict=True))])

    write_whole(folder / OUT_OF_FOLD, write)
    _print_results(folder, each, pooled, columns)


def _cell(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.8g}"


def _print_results(folder: Path, each: Mapping[str, Any], pooled: Mapping[str, float], columns: Sequence[str]) -> None:
    n = len(next(iter(each.values())))
    width = max(len(name) for name in each)
    print(f"\n{n} folds, each predicted by the weights that its training ended with")
    print(f"{'':<{width}}  {'mean':>10} ± {'std':<8} pooled")
    for name, values in each.items():
        of_all = f"{pooled[name]:.4f}" if name in pooled else "(its epoch was chosen on the fold itself: optimistic)"
        print(f"{name:<{width}}  {values.mean():>10.4f} ± {values.std(ddof=1):<8.4f} {of_all}")
    print(f"scores           {relative_path(folder / SCORES)}")
    print(f"out of fold      {relative_path(folder / OUT_OF_FOLD)}")
    for column in columns:
        print(f"columns          {column}")
    print(f"ensemble         lightning-tasks predict {relative_path(folder)} IMAGES")
