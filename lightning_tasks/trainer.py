"""Lightning's Trainer, with our verbs as methods."""

import inspect
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import LightningDataModule, LightningModule

from lightning_tasks.reports.terminal import print_line
from lightning_tasks.training.run_paths import has_own_folder
from lightning_tasks.verbs.intervals import intervals_below
from lightning_tasks.verbs.table import LIGHTNINGS_OWN, OF_THE_TRAINER, VERBS

_OF_EVERY_RUN = ("trainer", "model", "datamodule")


class Trainer(pl.Trainer):
    """Lightning's Trainer, whose files lie in the run's folder, and the verbs that need one: `run` of their modules."""

    def print(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - print's own
        """Print on the first process of each machine, above a progress bar."""
        if self.local_rank == 0:
            print_line(*args, **kwargs)

    @property
    def log_dir(self) -> str | None:
        """The run's folder, where the config and profiles go; Lightning's is its first logger's, such as `.`."""
        if not has_own_folder(self):
            return super().log_dir
        return str(self.strategy.broadcast(self.default_root_dir))

    def validate(
        self,
        model: LightningModule | None = None,
        dataloaders: Any = None,  # noqa: ANN401 - Lightning's own
        ckpt_path: str | Path | None = None,
        verbose: bool = True,
        datamodule: LightningDataModule | None = None,
        weights_only: bool | None = None,
        ci: float | None = None,
    ) -> list[Mapping[str, float]]:
        """Score on the validation split.

        Args:
            model: what is scored.
            dataloaders: see Lightning's own; so for `datamodule`.
            ckpt_path: the checkpoint.
            verbose: print the scores.
            datamodule: whose validation split it is.
            weights_only: see Lightning's own.
            ci: also print intervals of the scores, by bootstrap, of this level; without a number: 0.95.
        """
        with intervals_below(self, model, datamodule or dataloaders, ci, "valid"):
            return super().validate(model, dataloaders, ckpt_path, verbose, datamodule, weights_only)

    def test(
        self,
        model: LightningModule | None = None,
        dataloaders: Any = None,  # noqa: ANN401 - Lightning's own
        ckpt_path: str | Path | None = None,
        verbose: bool = True,
        datamodule: LightningDataModule | None = None,
        weights_only: bool | None = None,
        ci: float | None = None,
    ) -> list[Mapping[str, float]]:
        """Score on the test table; for the arguments see `validate`.

        Args:
            model: what is scored.
            dataloaders: see Lightning's own; so for `datamodule`.
            ckpt_path: the checkpoint.
            verbose: print the scores.
            datamodule: whose test table it is.
            weights_only: see Lightning's own.
            ci: also print intervals of the scores, by bootstrap, of this level; without a number: 0.95.
        """
        with intervals_below(self, model, datamodule or dataloaders, ci, "test"):
            return super().test(model, dataloaders, ckpt_path, verbose, datamodule, weights_only)


for _verb in VERBS:
    if _verb.kind in OF_THE_TRAINER and _verb.name not in LIGHTNINGS_OWN:
        setattr(Trainer, _verb.name, import_module(f"lightning_tasks.verbs.{_verb.name}").run)


def options_of(verb: str) -> list[str]:
    """Return the names of a verb's own options, beside those of every run."""
    if verb in LIGHTNINGS_OWN:
        return []
    return [name for name in inspect.signature(getattr(Trainer, verb)).parameters if name not in _OF_EVERY_RUN]
