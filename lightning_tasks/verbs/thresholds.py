"""From which probability on a label is predicted: chosen on a split, and kept in the checkpoint."""

from pathlib import Path

import pytorch_lightning as pl

from lightning_tasks.atomic_write import require_place
from lightning_tasks.checkpoint import store_hyper_parameters
from lightning_tasks.errors import ConfigError
from lightning_tasks.reports.figure_file import require_figure_place, write_figure
from lightning_tasks.tasks.registry import task_of
from lightning_tasks.tasks.split_predictions import Split, SplitPredictions
from lightning_tasks.tasks.task import ThresholdAim
from lightning_tasks.verbs.predictions import predictions_of, tables_of


def run(
    trainer: pl.Trainer,
    model: pl.LightningModule,
    datamodule: pl.LightningDataModule,
    ckpt_path: str,
    aim: ThresholdAim = "f1",
    recall: float = 0.8,
    each_label: bool = True,
    calibrate: bool = False,
    split: Split = "valid",
    output: str | None = None,
    curve: str | None = None,
) -> None:
    """Choose from which probability on a label is predicted, say what that brings, and keep it in the checkpoint.

    Args:
        ckpt_path: the checkpoint.
        aim: of each label: accuracy, f1, or precision_at_recall: the highest precision that finds `recall`.
        recall: the share of the positives to be found, for precision_at_recall.
        each_label: a threshold for each label, or one for all.
        calibrate: first choose a temperature, which calibrates the probabilities and changes no ranking.
        split: train (augmented), valid or test.
        output: a checkpoint to write instead of changing this one.
        curve: an image of the accuracy at each threshold to write.
    """
    target = Path(output or ckpt_path)
    require_place(target, tables_of(datamodule))
    if curve is not None:
        require_figure_place(Path(curve))
        if target.absolute() == Path(curve).absolute():
            raise ConfigError(f"{target} is to be two different files. Choose another name for one of them.")

    def predict() -> SplitPredictions:
        return predictions_of(trainer, model, datamodule, ckpt_path, split)

    choice = task_of(model).choose_thresholds(model, predict, aim, recall, each_label, calibrate)
    print(choice.table)
    if curve is not None:
        write_figure(Path(curve), choice.curve)
        print(f"threshold curve  {curve}")
    store_hyper_parameters(Path(ckpt_path), target, choice.hyper_parameters)
    print(f"thresholds       kept in {target}")
