"""A training for each fold as one command: the scores' mean and spread, and predictions of images not trained on."""

import argparse
import contextlib
import gc
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

import torch
from pytorch_lightning import LightningDataModule

from lightning_tasks.callbacks.checkpoint_places import BestCheckpoint
from lightning_tasks.callbacks.stop_signals import StopSignals
from lightning_tasks.cli import TaskCLI
from lightning_tasks.command_line.arguments import with_config_files
from lightning_tasks.command_line.foreign_messages import translate_foreign_errors
from lightning_tasks.command_line.run_settings import make_data
from lightning_tasks.data.datamodule import ImageDataModule
from lightning_tasks.data.tables.splits import Rows
from lightning_tasks.errors import ConfigError, user_message, users_mistake
from lightning_tasks.filesystem import is_file
from lightning_tasks.folds import Fold, fold_folder, read_fold, save_fold, table_digest, with_table_rows
from lightning_tasks.renamed_options import with_new_names
from lightning_tasks.reports.terminal import print_line
from lightning_tasks.run_folders import crossval_folder, new_run_folder, relative_path
from lightning_tasks.tasks.registry import task_of
from lightning_tasks.training.run_paths import last_checkpoint
from lightning_tasks.verbs.crossval import check_settings, require_same, write_results
from lightning_tasks.verbs.predictions import predictions_of


class _Split(NamedTuple):
    """A fold of the table as it is now."""

    rows: Rows  # of the table, which the fold's model does not see
    paths: list[Path]
    names: list[str]  # of the model's outputs
    table: str | None  # the digest of its file
    skips: bool  # images that cannot be read may be missing from what is predicted


class _Settings(TaskCLI):
    """The settings of a `fit`, parsed and checked: no model is made of them, no trainer, and nothing is run."""

    def instantiate_classes(self) -> None:
        """Make the data alone."""
        self.datamodule = make_data(self.config.fit.data)

    def _run_subcommand(self, subcommand: str) -> None:
        """Run nothing."""

    @property
    def folds(self) -> int:
        """How many folds there are."""
        return int(self.config.fit.data.init_args.folds)

    def as_text(self) -> str:
        """Return them as a run's config.yaml has them."""
        text: str = self._parser("fit").dump(self._written.fit, skip_none=False)
        return text

    def folder(self, *, resume: bool) -> Path:
        """Return the folder for all folds: a new one, or the one to resume, which must be of these settings."""
        found = crossval_folder(*self._runs(), newest=resume)
        if found is None:
            return new_run_folder(*self._runs(), "crossval")
        config = fold_folder(found, 0) / "config.yaml"
        if is_file(config):
            require_same(self.as_text(), config)
        return found


def crossval(args: list[str]) -> None:
    """Run the verb: train without each fold in turn, and predict it. `args`: the verb, and what `fit` takes.

    Raises:
        LightningTasksError: a mistake of the user's, for the console script to print.
        SystemExit: with 2, after a message, for arguments that cannot be parsed; or as a `fit` leaves.
        KeyboardInterrupt: Ctrl-C, where no training had to be saved.
    """
    with translate_foreign_errors():
        own, options = _own_options(args[1:])
        fit = ["fit", *with_new_names(["fit", *with_config_files(options)])[1:]]
        if own.folds is not None:
            fit += ["--data.folds", str(own.folds)]
        settings = _Settings(fit)
        check_settings(settings.config.fit, settings.datamodule)
        _require_one_process()
        splits = _splits(settings)
        folder = settings.folder(resume=own.ckpt_path is not None)
        _print_plan(settings, splits, folder)
        folds = []
        for number, split in enumerate(splits):
            fold = read_fold(folder, number)
            if fold is None:
                print_line(f"fold {number} of {len(splits)}      {relative_path(fold_folder(folder, number))}")
                with _naming_fold(number, len(splits), folder):
                    fold = _train(fit, settings, split, number, folder)
                _free()
            _require_of_table(fold, split, len(splits), folder)
            folds.append(fold)
        write_results(folder, folds)


def _print_plan(settings: _Settings, splits: Sequence[_Split], folder: Path) -> None:
    assert isinstance(settings.datamodule, ImageDataModule)
    rows, of_table = sum(len(split.rows) for split in splits), len(settings.datamodule.table)
    others = (
        f"; the other {of_table - rows:,} are marked, or alone with a label, and in none" if rows < of_table else ""
    )
    print_line(f"crossval         {relative_path(folder)}: {len(splits)} folds of {rows:,} rows{others}")


def _own_options(args: list[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        prog="lightning-tasks crossval",
        description="Train once without each fold, and predict it. Beside these options it takes all of `fit`.",
        allow_abbrev=False,
        add_help=False,
    )
    parser.add_argument("--folds", type=int, help="how many; left out: the config's data.folds, 5 unless it says so")
    parser.add_argument("--ckpt_path", metavar="last", help="`last` resumes the newest cross-validation")
    if "-h" in args or "--help" in args:
        parser.print_help()
        print()
        TaskCLI(["fit", "--help"])
    own, rest = parser.parse_known_args(args)
    if own.ckpt_path not in (None, "last"):
        raise ConfigError(
            f"--ckpt_path is {own.ckpt_path}; for crossval it is `last`, which resumes the newest, or left out. To "
            "start from trained weights: --model.weights FILE."
        )
    return own, rest


def _require_one_process() -> None:
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError("crossval trains the folds one after the other, in one process: start it without torchrun.")


def _splits(settings: _Settings) -> list[_Split]:
    """Return the folds of the table, all of which can be trained without.

    Raises:
        LightningTasksError: the table cannot be read or cut into so many, or the folds' models would differ in what
            they predict.
    """
    assert settings.datamodule is not None
    settings.datamodule.prepare_data()
    splits = [_split(make_data(settings.config.fit.data, fold=number)) for number in range(settings.folds)]
    key = task_of(settings.datamodule).names_key
    names = list(dict.fromkeys(name for split in splits for name in split.names))
    for number, split in enumerate(splits):
        if set(split.names) != set(names):
            missing = ", ".join(sorted(set(names) - set(split.names)))
            raise ConfigError(
                f"Fold {number}: the images to train on have no {missing}, which others have: the folds' models would "
                f"differ in what they predict. Name all in --data.{key}, or leave data.stratify true."
            )
    return splits


def _split(data: LightningDataModule) -> _Split:
    assert isinstance(data, ImageDataModule)
    rows = data.split[1]
    paths = list(data.located.files.paths(rows))
    names = list(getattr(data, task_of(data).names_key))
    return _Split(rows, paths, names, table_digest(data.csv), data.on_bad_image == "skip")


def _train(fit: Sequence[str], settings: _Settings, split: _Split, number: int, folder: Path) -> Fold:
    """Train without a fold, or resume that; predict it by the weights at the end, and keep that."""
    own = fold_folder(folder, number)
    run = TaskCLI([*fit, "--data.fold", str(number)], own)
    for callback in run.trainer.callbacks:  # type: ignore[attr-defined]  # Lightning sets it at run time
        if isinstance(callback, StopSignals):
            callback.leave_if_asked(run.trainer, f"fold {number}")
    # As the verbs of a checkpoint make it: without a trainer, whose device the images might be on.
    data = make_data(settings.config.fit.data, fold=number, device_cache=False)
    found = predictions_of(run.trainer, run.model, data, str(last_checkpoint(own)), "valid")
    checkpoints = [callback for callback in run.trainer.checkpoint_callbacks if isinstance(callback, BestCheckpoint)]
    scored = [
        (c.monitor, float(c.best_model_score)) for c in checkpoints if c.monitor and c.best_model_score is not None
    ]
    best = scored[0] if scored else None
    fold = Fold(number, settings.folds, with_table_rows(found, split.rows.tolist()), split.table, best)
    save_fold(folder, fold)
    return fold


def _free() -> None:
    """Give back what the last fold's model and data hold."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@contextlib.contextmanager
def _naming_fold(number: int, folds: int, folder: Path) -> Iterator[None]:
    """Say in which fold something went wrong; leave no folder where there is nothing in it."""
    try:
        with translate_foreign_errors():
            yield
    except Exception as error:  # whatever it is, it goes on its way
        with contextlib.suppress(OSError):
            folder.rmdir()
        _raise_in_fold(f"Fold {number} of {folds}", error)


def _raise_in_fold(where: str, error: Exception) -> NoReturn:
    mistake = users_mistake(error)
    if mistake is None:
        print(f"{where} failed:", file=sys.stderr)
        raise error
    raise type(mistake)(f"{where}: {user_message(mistake)}") from error


def _require_of_table(fold: Fold, split: _Split, folds: int, folder: Path) -> None:
    """Look whether a fold is of the table as it is now.

    Raises:
        ConfigError: the table has changed since, or is cut otherwise.
    """
    place = dict(zip(split.rows.tolist(), split.paths, strict=True))
    found = dict(zip(fold.found.rows.tolist(), fold.found.paths, strict=True))
    whole = split.skips or found.keys() == place.keys()
    same = (fold.folds, fold.table) == (folds, split.table)
    if not (same and whole) or any(place.get(row) != path for row, path in found.items()):
        raise ConfigError(
            f"{fold_folder(folder, fold.number)} was trained and predicted by another table, or other rows of it, than "
            "there are now: the table has changed since. Start anew without --ckpt_path."
        )
