"""Where a run's files go: `runs/<data>/version_N/`, one folder for each run."""

import math
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from pytorch_lightning import Callback
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import Logger, TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only

from lightning_tasks.callbacks.checkpoint_places import BestCheckpoint
from lightning_tasks.errors import ConfigError
from lightning_tasks.filesystem import is_file, is_folder
from lightning_tasks.metrics_csv import MetricsCSV
from lightning_tasks.training.run_paths import last_checkpoint
from lightning_tasks.training.slurm import is_of_this_job, note_job


def new_run_folder(runs_dir: Path, name: str, kind: str = "version") -> Path:
    """Make the next `runs_dir/name/<kind>_N`, or name it in processes after the first; ConfigError: it cannot be."""
    task = runs_dir / name
    number = max(_numbered(task, kind), default=-1) + 1
    while getattr(rank_zero_only, "rank", 0) == 0:
        try:
            (task / f"{kind}_{number}").mkdir(parents=True)
            note_job(task / f"{kind}_{number}")
            break
        except FileExistsError:  # another run was faster
            number += 1
        except OSError as error:
            raise ConfigError(f"{task} cannot be made ({error.strerror}). Choose another --runs_dir.") from error
    return task / f"{kind}_{number}"


def renew_folder(folder: Path) -> Path:
    """Make a run's folder, in place of one that was left before its first checkpoint; ConfigError: it cannot be."""
    try:
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be made ({error.strerror}). Choose another --runs_dir.") from error
    return folder


def last_run_folder(runs_dir: Path, name: str) -> Path:
    """Return the newest run's folder in `runs_dir/name`; ConfigError: there is none, or it has no checkpoint yet."""
    task = runs_dir / name
    folders = _run_folders(task)
    if not folders:
        raise ConfigError(f"There is no run in {task} to resume (--ckpt_path last). Leave --ckpt_path out.")
    folder = folders[-1]
    if not is_file(last_checkpoint(folder)):
        raise ConfigError(
            f"The newest run, {folder}, has no {last_checkpoint(Path())} to resume from. Start anew without "
            "--ckpt_path, or name the checkpoint of an older run."
        )
    return folder


def requeued_run_folder(runs_dir: Path, name: str) -> Path | None:
    """Return the run's folder that this SLURM job had begun before it was requeued, if it can be resumed."""
    ours = [folder for folder in _run_folders(runs_dir / name) if is_of_this_job(folder)]
    return next((folder for folder in reversed(ours) if is_file(last_checkpoint(folder))), None)


def crossval_folder(runs_dir: Path, name: str, *, newest: bool) -> Path | None:
    """Return the cross-validation's folder that is to be resumed, if one is; ConfigError: there is none.

    It is the `newest` one where that is asked for, or the one that this SLURM job had begun before it was requeued.
    """
    folders = _numbered(runs_dir / name, "crossval")
    if newest and not folders:
        raise ConfigError(f"There is no crossval_N in {runs_dir / name} to resume (--ckpt_path last). Leave it out.")
    if newest:
        return folders[max(folders)]
    return next((folders[number] for number in sorted(folders, reverse=True) if is_of_this_job(folders[number])), None)


def _run_folders(task: Path) -> list[Path]:
    """Return the folders of a task's runs, the newest last; not those that a user's own logger has made there."""
    folders = _numbered(task, "version")
    return [folders[number] for number in sorted(folders) if not _is_of_a_logger(folders[number])]


def _is_of_a_logger(folder: Path) -> bool:
    """Return whether a logger, such as a CSVLogger into `runs`, has made a folder for itself: it has no config."""
    files = {path.name for path in folder.iterdir()}
    return "hparams.yaml" in files and not {"config.yaml", last_checkpoint(folder).parent.name} & files


def _numbered(task: Path, kind: str) -> dict[int, Path]:
    """Return the folders `<kind>_N` in `task` by their N; none where there is no such folder."""
    if not is_folder(task):  # glob raises for some names that no folder can have
        return {}
    return {int(found[1]): path for path in task.glob("*") if (found := re.fullmatch(rf"{kind}_(\d+)", path.name))}


def run_loggers(folder: Path, first_step: int | None, given: object) -> list[Logger]:
    """Return the user's loggers, or that of TensorBoard's events; and one of metrics.csv, in any case.

    Args:
        folder: of the run, where the last two write.
        first_step: of a resumed run; what it had logged from there on is dropped. None: a new run.
        given: the Trainer's `logger`: one or several; None or True: TensorBoard's; False: none but metrics.csv.
    """
    runs_dir, name, version = str(folder.parent.parent), folder.parent.name, folder.name
    if given in (None, True):
        given = TensorBoardLogger(runs_dir, name, version, default_hp_metric=False, purge_step=first_step)
    theirs = given if isinstance(given, list) else [given] if isinstance(given, Logger) else []
    return [*theirs, MetricsCSV(runs_dir, name, version, first_step or 0)]


def left_behind(folder: Path, checkpoints: Sequence[Callback]) -> list[str]:
    """Return lines that name what a training left in its folder, and what these callbacks wrote."""
    lines = []
    for callback in checkpoints:
        if isinstance(callback, ModelCheckpoint) and callback.best_model_path:
            path, score = Path(callback.best_model_path), callback.best_model_score
            which = "" if score is None else f"  ({_score(callback, float(score))})"
            lines.append(f"{'best' if callback.monitor else path.stem} checkpoint  {relative_path(path)}{which}")
    if is_file(last_checkpoint(folder)):
        lines.append(f"last checkpoint  {relative_path(last_checkpoint(folder))}")
    if is_file(folder / "results.png"):
        lines.append(f"results image  {relative_path(folder / 'results.png')}")
    if any(folder.glob("events.out.tfevents.*")):
        lines.append(f"TensorBoard      tensorboard --logdir {relative_path(folder.parent)}")
    return lines


def _score(callback: ModelCheckpoint, best: float) -> str:
    """Return what the best checkpoint scored, or that there is no best."""
    if math.isfinite(best):  # Lightning writes an infinity for NaN
        return f"{callback.monitor} {best:.4f}"
    is_newest = isinstance(callback, BestCheckpoint) and callback.save_top_k == 1
    which = "the newest, not the best" if is_newest else "no best"
    return (
        f"{which}: {callback.monitor} was never a finite number; is there anything to score in the validation split? "
        "See `lightning-tasks check`"
    )


def run_name(class_path: str) -> str:
    """Return the name of a data module's runs: `pascal_sample` for PascalSampleDataModule."""
    words = re.findall("[A-Z][^A-Z]*", class_path.rpartition(".")[2].removesuffix("DataModule"))
    return "_".join(words).lower()


def relative_path(path: Path) -> str:
    """Return the path as a person here would type it."""
    absolute = path.resolve()
    return str(absolute.relative_to(Path.cwd())) if absolute.is_relative_to(Path.cwd()) else str(absolute)
