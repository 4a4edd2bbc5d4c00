"""Where a run's files go: `runs/<data>/version_N/`, one folder for each run."""

import re
from pathlib import Path

from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only

from lightning_tasks.errors import ConfigError

_PREFIX = "version_"


def new_run_folder(runs_dir: Path, name: str) -> Path:
    """Make and return the next `runs_dir/name/version_N`; processes after the first only name one.

    Raises:
        ConfigError: it cannot be made.
    """
    task = runs_dir / name
    numbers = [int(found[1]) for path in task.glob(f"{_PREFIX}*") if (found := re.fullmatch(r".*_(\d+)", path.name))]
    number = max(numbers, default=-1) + 1
    while getattr(rank_zero_only, "rank", 0) == 0:
        try:
            (task / f"{_PREFIX}{number}").mkdir(parents=True)
            break
        except FileExistsError:  # another run was faster
            number += 1
        except OSError as error:
            raise ConfigError(f"{task} cannot be made ({error.strerror}). Choose another --runs_dir.") from error
    return task / f"{_PREFIX}{number}"


def run_loggers(folder: Path) -> list[Logger]:
    """Return the loggers that write TensorBoard's events and metrics.csv into a run's folder."""
    runs_dir, name, version = str(folder.parent.parent), folder.parent.name, int(folder.name.removeprefix(_PREFIX))
    return [TensorBoardLogger(runs_dir, name, version, default_hp_metric=False), CSVLogger(runs_dir, name, version)]


def run_name(datamodule: object) -> str:
    """Return the name of a data module's runs: `pascal_sample` for PascalSampleDataModule."""
    words = re.findall("[A-Z][^A-Z]*", type(datamodule).__name__.removesuffix("DataModule"))
    return "_".join(words).lower()


def shown(path: Path) -> str:
    """Return the path as a person here would type it."""
    absolute = path.resolve()
    return str(absolute.relative_to(Path.cwd())) if absolute.is_relative_to(Path.cwd()) else str(absolute)
