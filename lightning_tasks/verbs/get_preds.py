"""The predictions of a split, as a csv."""

import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytorch_lightning as pl

from lightning_tasks.atomic_write import require_place
from lightning_tasks.csv_text import STDOUT
from lightning_tasks.tasks.split_predictions import Split, SplitPredictions
from lightning_tasks.verbs.predictions import predictions_of, tables_of


def run(
    trainer: pl.Trainer,
    model: pl.LightningModule,
    datamodule: pl.LightningDataModule,
    ckpt_path: str,
    split: Split = "valid",
    output: str = "predictions.csv",
    excel: bool = False,
) -> SplitPredictions:
    """Write what a checkpoint predicts for a split's images, beside what is annotated, to a csv.

    Args:
        ckpt_path: the checkpoint.
        split: valid, test, or train (augmented, in a shuffled order, without the last, partial batch).
        output: the csv that is written; -: standard output.
        excel: a csv that Excel reads as UTF-8 and of which it calculates nothing.
    """
    path = Path(output)
    if path != STDOUT:
        require_place(path, [Path(ckpt_path), *tables_of(datamodule)])
    with redirect_stdout(sys.stderr if path == STDOUT else sys.stdout):
        found = predictions_of(trainer, model, datamodule, ckpt_path, split)
    columns = found.write_csv(path, excel=excel)
    for line in (f"predictions      {output}", *(f"columns          {column}" for column in columns)):
        print(line, file=sys.stderr if path == STDOUT else sys.stdout)
    return found
