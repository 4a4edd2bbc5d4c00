"""Which annotations are probably wrong? A table of them by rank, a page of their images, and a file to correct."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl

from lightning_tasks.atomic_write import require_place
from lightning_tasks.checkpoint import data_settings, read_checkpoint
from lightning_tasks.data.datamodule import ImageDataModule
from lightning_tasks.data.tables.csv_table import first_row
from lightning_tasks.data.tables.file_checks import LocatedTable
from lightning_tasks.data.trained_on import trained_on_valid
from lightning_tasks.deploy.annotation_files.formats import WRITERS, Format, check_place, require_room
from lightning_tasks.errors import ConfigError, LightningTasksWarning
from lightning_tasks.folds import is_crossval, read_folds, table_digest
from lightning_tasks.folds import out_of_fold as put_together
from lightning_tasks.tasks.registry import task_of_both
from lightning_tasks.tasks.split_predictions import Split, SplitPredictions
from lightning_tasks.tasks.suspects import Suspect
from lightning_tasks.verbs.predictions import predictions_of, tables_of
from lightning_tasks.verbs.suspect_files import (
    TableRow,
    by_image,
    read_images,
    write_annotations,
    write_suspects_page,
    write_table,
)


def run(
    trainer: pl.Trainer,
    model: pl.LightningModule,
    datamodule: pl.LightningDataModule,
    ckpt_path: str,
    split: Split = "valid",
    output: str = "label_errors.csv",
    top: int = 100,
    format: Format | None = None,
    prefix: str = "",
    excel: bool = False,
) -> list[Suspect]:
    """List the annotations of a split that are probably wrong, in a csv, and on an html page beside it.

    Of labels, confident learning says so (cleanlab); of points and numbers, how far the predictions are off, in the
    model's own spread.

    Args:
        ckpt_path: the checkpoint, which must not have been trained on the split; or the folder of a cross-validation:
            of all its images, each by the model that has not seen it.
        split: valid or test.
        output: the csv that is written, of a row for each suspicious annotation. The page lies beside it, as .html.
        top: how many are listed: the most suspicious ones.
        format: also write their images for an annotation tool, beside the csv, with the annotations that they have
            and, where these are suspicious, what the model says: coco (.json), label-studio (.json), cvat (.xml).
        prefix: what stands before each file name in it; see `predict`.
        excel: a csv that Excel reads as UTF-8 and of which it calculates nothing.
    """
    task = task_of_both(model, datamodule)
    assert isinstance(datamodule, ImageDataModule)  # as those of all tasks are
    folder = Path(ckpt_path) if is_crossval(Path(ckpt_path)) else None
    if folder is None:
        require_out_of_sample(datamodule, split, data_settings(read_checkpoint(Path(ckpt_path))))
    path = _require_places(output, top, format, prefix, [Path(ckpt_path), *tables_of(datamodule)])
    task.require_suspects()
    output_format = task.output_format(model, dict(datamodule.hparams))
    if format is not None:
        require_room(format, output_format)
    if folder is not None:
        found, table = out_of_fold(datamodule, split, folder)
    else:
        found = predictions_of(trainer, model, datamodule, ckpt_path, split)
        table = table_rows(datamodule, split, found)
    suspects = found.suspects()
    listed = suspects[:top]
    shown = read_images(found, listed)
    write_table(path, listed, table, excel=excel)
    page = path.with_suffix(".html")
    write_suspects_page(page, ckpt_path, found, listed, table, shown, len(suspects))
    images = len(by_image(listed))
    print(f"suspicious       {len(suspects):,} annotations in {len(by_image(suspects)):,} of {len(table):,} images")
    print(f"listed           {path}  ({len(listed):,}, the most suspicious first)")
    print(f"page             {page}  ({images:,} image{'' if images == 1 else 's'})")
    if format is not None:
        file = path.with_suffix(WRITERS[format].suffix)
        remarks = write_annotations(file, format, prefix, ckpt_path, output_format, found, listed, table, shown)
        print("\n".join([f"to correct       {file}", *remarks]))
    return suspects


def require_out_of_sample(datamodule: ImageDataModule, split: Split, stored: Mapping[str, Any]) -> None:
    """Raise ConfigError where a checkpoint was trained on the split: it says of these images what it was told.

    `stored`: the settings of the data that it was trained on.
    """
    way_out = (
        "It repeats their annotations, wrong ones too. Name the folder of a cross-validation (lightning-tasks "
        "crossval), which has a model for each image that has not seen it, or a checkpoint that was trained without "
        "these images."
    )
    if split == "train":
        raise ConfigError(f"--split train: the model was trained on these images. {way_out}")
    if split == "valid" and (datamodule.train_on_valid or stored.get("train_on_valid")):
        raise ConfigError(f"data.train_on_valid: the model was trained on the validation images too. {way_out}")
    trained = trained_on_valid(datamodule, stored) if split == "valid" else None
    if trained is not None:
        raise ConfigError(f"The model was trained on {trained}. {way_out}")


def out_of_fold(datamodule: ImageDataModule, split: Split, folder: Path) -> tuple[SplitPredictions, list[TableRow]]:
    """Return the predictions of a cross-validation, and where its N images stand in the table.

    Raises:
        CheckpointError: it is not finished.
        ConfigError: it is not of this split, or the table is another by now.
    """
    if split != "valid":
        raise ConfigError(f"--split {split}: a cross-validation has predicted its folds. Leave --split out.")
    folds = read_folds(folder)
    found, _ = put_together(folds)
    names = datamodule.located.table["fname"].tolist()
    rows = found.rows.tolist()
    for row, path in zip(rows, found.paths, strict=True):
        if row >= len(names) or not _is_called(path, names[row]):
            raise ConfigError(
                f"{datamodule.csv} is not the table that {folder} was made of: {path.name} was in row "
                f"{row + first_row(datamodule.csv)}. Name that table (--data.csv), or run crossval anew."
            )
    if folds[0].table not in (None, table_digest(datamodule.csv)):
        message = (
            f"{datamodule.csv} has changed since {folder} was made: what is given is what the table said then. To "
            "judge it as it is now, run crossval anew."
        )
        warnings.warn(message, LightningTasksWarning, stacklevel=2)
    paths = tuple(datamodule.located.files.paths(found.rows.numpy()))  # wherever the command was given
    return replace(found, paths=paths), _rows_of(datamodule.located, rows)


def _is_called(path: Path, name: str) -> bool:
    """Return whether a path ends in a table's file name: in the whole of it."""
    parts = Path(name).parts
    return path.parts[-len(parts) :] == parts


def table_rows(datamodule: ImageDataModule, split: Split, found: SplitPredictions) -> list[TableRow]:
    """Return where the N predicted images stand in the split's table."""
    if split == "test":
        located, rows = datamodule.located_test, datamodule.test_rows(datamodule.located_test.table)
    else:
        located, rows = datamodule.located, datamodule.split[1]
    return _rows_of(located, np.asarray(rows)[found.rows.numpy()].tolist())


def _rows_of(located: LocatedTable, rows: Sequence[int]) -> list[TableRow]:
    names, first = located.table["fname"].tolist(), first_row(located.source)
    return [TableRow(names[row], row + first) for row in rows]


def _require_places(output: str, top: int, format: Format | None, prefix: str, inputs: list[Path]) -> Path:
    """Return the csv's place; raise ConfigError where it, or what lies beside it, cannot be written."""
    path = Path(output)
    if path.suffix != ".csv":
        raise ConfigError(f"{output}: the list is a csv, and a page lies beside it. End --output in .csv.")
    if top < 1:
        raise ConfigError(f"--top is {top}; it must be at least 1.")
    if prefix and format is None:
        raise ConfigError("--prefix is for file names in --format coco, label-studio or cvat, and none is asked for.")
    for place in (path, path.with_suffix(".html")):
        require_place(place, inputs)
    if format is not None:
        check_place(path.with_suffix(WRITERS[format].suffix), format, excel=False, inputs=inputs)
    return path
