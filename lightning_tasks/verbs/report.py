"""One html page about a checkpoint."""

from functools import partial
from pathlib import Path
from typing import Literal

import pytorch_lightning as pl

from lightning_tasks.atomic_write import require_place
from lightning_tasks.checkpoint import read_checkpoint
from lightning_tasks.data.images.decode import Image
from lightning_tasks.data.images.decode import read_reduced as read_file_reduced
from lightning_tasks.filesystem import is_file
from lightning_tasks.reports.bootstrap import LEVEL, check_level
from lightning_tasks.reports.page import write_page
from lightning_tasks.reports.run_info import folder_of_run, read_run
from lightning_tasks.run_folders import relative_path
from lightning_tasks.training.run_paths import RUN_FOLDER, last_checkpoint
from lightning_tasks.verbs.predictions import predictions_of, tables_of


def run(
    trainer: pl.Trainer,
    model: pl.LightningModule,
    datamodule: pl.LightningDataModule,
    ckpt_path: str,
    split: Literal["valid", "test"] = "valid",
    output: str | None = None,
    ci: float | None = LEVEL,
) -> None:
    """Write one html page about a checkpoint, which holds everything it shows.

    Args:
        ckpt_path: the checkpoint.
        split: valid or test (images of train would be augmented ones).
        output: the page that is written; None: report.html in the run's folder.
        ci: the level of the bootstrap's intervals beside the scores; null: without them.
    """
    checkpoint, folder = Path(ckpt_path), run_of(Path(ckpt_path))
    path = Path(output) if output else folder / "report.html"
    require_place(path, [checkpoint, *tables_of(datamodule)])
    if ci is not None:
        check_level(ci)
    found = predictions_of(trainer, model, datamodule, ckpt_path, split)
    about = read_run(checkpoint, read_checkpoint(checkpoint), folder)
    name = "validation" if split == "valid" else split
    write_page(path, found.report(about, name, partial(read_reduced, white_level=found.white_level), ci))
    print(f"report           {relative_path(path)}")


def run_of(path: Path) -> Path:
    """Return the folder of a checkpoint's run, also where the checkpoint lies in a folder that the user had chosen.

    There it is the run that the checkpoint names, if that knows it: another may have taken the folder's place.
    """
    folder = folder_of_run(path)
    named = read_checkpoint(path).get(RUN_FOLDER)
    if named is None or is_file(folder / "config.yaml") or not is_file(last := last_checkpoint(Path(named))):
        return folder
    states = [state for state in read_checkpoint(last).get("callbacks", {}).values() if "best_k_models" in state]
    known = {file for state in states for file in (state["best_model_path"], *state["best_k_models"])}
    return Path(named) if any(Path(file).resolve() == path.resolve() for file in known) else folder


def read_reduced(path: Path, side: int, white_level: int | None = None) -> Image:
    """Return a file's image for the page: upright, and no larger than it shows it."""
    return read_file_reduced(path, side, white_level=white_level).image
