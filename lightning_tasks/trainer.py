"""Lightning's Trainer, with our verbs as methods."""

from importlib import import_module
from typing import Any

import pytorch_lightning as pl

from lightning_tasks.reports.terminal import print_line
from lightning_tasks.training.run_paths import has_own_folder
from lightning_tasks.verbs.table import LIGHTNINGS_OWN, OF_THE_TRAINER, VERBS


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


for _verb in VERBS:
    if _verb.kind in OF_THE_TRAINER and _verb.name not in LIGHTNINGS_OWN:
        setattr(Trainer, _verb.name, import_module(f"lightning_tasks.verbs.{_verb.name}").run)
