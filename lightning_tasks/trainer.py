"""Lightning's Trainer with the project's extra verbs."""

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Literal

import pytorch_lightning as pl

from lightning_tasks.atomic_write import require_apart, require_figure_place, require_place, write_figure
from lightning_tasks.callbacks import LRFinder
from lightning_tasks.callbacks.skipped import tell_skipped
from lightning_tasks.checkpoint import store_hyper_parameters
from lightning_tasks.csv_text import STDOUT
from lightning_tasks.data.describe import describe_white
from lightning_tasks.errors import ConfigError
from lightning_tasks.run_folders import shown
from lightning_tasks.tasks import KeypointDataModule, KeypointRegressor, MultiLabelClassifier, MultiLabelDataModule
from lightning_tasks.tasks.multilabel.choose_thresholds import choose
from lightning_tasks.tasks.multilabel.grad_cam import GradCam
from lightning_tasks.tasks.multilabel.thresholds import Aim
from lightning_tasks.tasks.split_predictions import (
    LabelPredictions,
    PointPredictions,
    Split,
    label_predictions,
    load_weights,
    point_predictions,
    write_predictions,
)
from lightning_tasks.training.trainer_of_a_run import TrainerOfARun
from lightning_tasks.verbs.check import check, describe_problems
from lightning_tasks.verbs.fix import require_csv, write_fixed
from lightning_tasks.verbs.report import report, run_of
from lightning_tasks.verbs.show_batch import show_batch
from lightning_tasks.verbs.show_results import show_heat, show_labels, show_points
from lightning_tasks.verbs.summary import summary


class Trainer(TrainerOfARun):
    """Lightning's Trainer; each further verb is a few lines that call into the folders below."""

    def prepare(self, model: None, datamodule: pl.LightningDataModule) -> None:
        """Get the data if it is not there, read and check its tables, and say what was found."""
        datamodule.prepare_data()
        if isinstance(datamodule, (MultiLabelDataModule, KeypointDataModule)):
            print(datamodule.describe())

    def summary(self, model: None, datamodule: pl.LightningDataModule) -> None:
        """Print what was found, and one sample and one batch on their way to the device, step by step."""
        if not isinstance(datamodule, (MultiLabelDataModule, KeypointDataModule)):
            raise ConfigError(f"summary knows labels and points, not {type(datamodule).__name__}.")
        print(summary(datamodule, self.strategy.root_device))
        tell_skipped(datamodule.train_set)

    def check(
        self,
        model: None,
        datamodule: pl.LightningDataModule,
        fix: str | None = None,
        min_positives: int = 10,
        max_distance: int = 4,
        fix_near_duplicates: bool = False,
    ) -> None:
        """Read every image once and print all that is wrong with the data; exit with 1 if anything is.

        Args:
            model: none is needed.
            datamodule: whose table and images are read.
            fix: a csv to write, beside the table or elsewhere: the table without the bad rows.
            min_positives: fewer training images with a label are few.
            max_distance: bits of 64 in which the perceptual hashes of near-duplicates may differ; their pixels decide.
            fix_near_duplicates: leave training images that look like one of validation out of `fix` too.
        """
        if not isinstance(datamodule, (MultiLabelDataModule, KeypointDataModule)):
            raise ConfigError(f"check knows labels and points, not {type(datamodule).__name__}.")
        if fix is not None:
            require_csv(datamodule)
            require_place(Path(fix), _tables(datamodule))
        problems = check(datamodule, min_positives, max_distance)
        print("\n".join([*describe_white(datamodule.white_level), describe_problems(problems)]))
        if fix is not None:
            print(write_fixed(problems, datamodule.csv, Path(fix), fix_near_duplicates))
        if problems:
            raise SystemExit(1)

    def show_batch(
        self,
        model: None,
        datamodule: pl.LightningDataModule,
        output: str = "show_batch.png",
        n: int = 9,
        originals: bool = False,
    ) -> None:
        """Draw training images as the model will see them, after augmentation, with labels or points.

        Args:
            model: none is needed.
            datamodule: whose training split is shown.
            output: the image that is written.
            n: how many images.
            originals: each with the untouched image on its left.
        """
        if n < 1:
            raise ConfigError(f"--n is {n}; it must be at least 1.")
        require_figure_place(Path(output))
        figure = show_batch(datamodule, n, originals)
        tell_skipped(getattr(datamodule, "train_set", None))
        write_figure(Path(output), figure)
        print(f"batch image    {output}")

    def lr_find(
        self,
        model: pl.LightningModule,
        datamodule: pl.LightningDataModule,
        min_lr: float = 1e-7,
        max_lr: float = 10.0,
        steps: int = 100,
    ) -> LRFinder:
        """Sweep learning rates over the training data, print what the curve suggests, and train nothing.

        Args:
            model: stays as it is.
            datamodule: whose training split is swept over.
            min_lr: where the sweep starts.
            max_lr: where it would end.
            steps: how many batches it takes.
        """
        finder = LRFinder(min_lr, max_lr, steps, only=True)
        callbacks: list[pl.Callback] = self.callbacks  # type: ignore[attr-defined]  # Lightning sets it at run time
        callbacks.insert(0, finder)
        try:
            self.fit(model, datamodule=datamodule)
        finally:
            callbacks.remove(finder)
        tell_skipped(self.train_dataloader)  # the sweep stops before an epoch's end, which tells it otherwise
        return finder

    def get_preds(
        self,
        model: pl.LightningModule,
        datamodule: pl.LightningDataModule,
        ckpt_path: str,
        split: Split = "valid",
        output: str = "predictions.csv",
        excel: bool = False,
    ) -> LabelPredictions | PointPredictions:
        """Write what a checkpoint says of a split's images, beside what is annotated, to a csv.

        Args:
            model: takes the checkpoint's weights.
            datamodule: whose images are predicted.
            ckpt_path: the checkpoint.
            split: valid, test, or train (augmented, in a shuffled order, without the last, partial batch).
            output: the csv that is written; -: standard output.
            excel: a csv that Excel reads as UTF-8 and of which it calculates nothing.
        """
        path = Path(output)
        if path != STDOUT:
            require_place(path, [Path(ckpt_path), *_tables(datamodule)])
        with redirect_stdout(sys.stderr if path == STDOUT else sys.stdout):
            found = self._predictions(model, datamodule, ckpt_path, split)
        columns = write_predictions(path, found, model, datamodule, excel=excel)
        for line in (f"predictions      {output}", *(f"columns          {column}" for column in columns)):
            print(line, file=sys.stderr if path == STDOUT else sys.stdout)
        return found

    def thresholds(
        self,
        model: pl.LightningModule,
        datamodule: pl.LightningDataModule,
        ckpt_path: str,
        aim: Aim = "f1",
        recall: float = 0.8,
        each_label: bool = True,
        calibrate: bool = False,
        split: Split = "valid",
        output: str | None = None,
        curve: str | None = None,
    ) -> None:
        """Choose from which probability on a label is predicted, say what that brings, and keep it in the checkpoint.

        Args:
            model: takes the checkpoint's weights.
            datamodule: whose images are predicted.
            ckpt_path: the checkpoint.
            aim: of each label: accuracy, f1, or precision_at_recall: the highest precision that finds `recall`.
            recall: the share of the positives to be found, for precision_at_recall.
            each_label: a threshold for each label, or one for all.
            calibrate: first choose a temperature, which makes probabilities honest and changes no ranking.
            split: train (augmented), valid or test.
            output: a checkpoint to write instead of changing this one.
            curve: an image of the accuracy at each threshold to write.
        """
        if not isinstance(model, MultiLabelClassifier) or model.thresholds is None:
            raise ConfigError("Thresholds are for images with any number of labels; this checkpoint's have not.")
        target = Path(output or ckpt_path)
        require_place(target, _tables(datamodule))
        if curve is not None:
            require_figure_place(Path(curve))
            require_apart(target, Path(curve))
        found = self._predictions(model, datamodule, ckpt_path, split)
        assert isinstance(found, LabelPredictions)  # of such a model
        choice = choose(found.logits, found.targets, model.vocab, model.temperature, aim, recall, each_label, calibrate)
        print(choice.table)
        if curve is not None:
            write_figure(Path(curve), choice.curve)
            print(f"threshold curve  {curve}")
        values = {"threshold": choice.threshold, "temperature": choice.temperature}
        store_hyper_parameters(Path(ckpt_path), target, values)
        print(f"thresholds       kept in {target}")

    def show_results(
        self,
        model: pl.LightningModule,
        datamodule: pl.LightningDataModule,
        ckpt_path: str,
        split: Literal["valid", "test"] = "valid",
        output: str = "show_results.png",
        n: int = 9,
        worst: bool = False,
        grad_cam: str | None = None,
    ) -> None:
        """Draw targets beside what a checkpoint says, on the images as they are on disk.

        Args:
            model: takes the checkpoint's weights.
            datamodule: whose images are shown.
            ckpt_path: the checkpoint.
            split: valid or test.
            output: the image that is written.
            n: how many images.
            worst: those with the highest loss, which are listed too; else images from all over the split.
            grad_cam: a label: where in the images it comes from, where it is most probable, or with `worst` where its
                own loss is highest; on the images as the model sees them.
        """
        if n < 1:
            raise ConfigError(f"--n is {n}; it must be at least 1.")
        require_figure_place(Path(output))
        cam = None if grad_cam is None else GradCam(model, grad_cam)  # before all images are predicted
        found = self._predictions(model, datamodule, ckpt_path, split)
        if isinstance(found, PointPredictions):
            results = show_points(found, n, worst)
        elif cam is not None:
            results = show_heat(found, getattr(datamodule, f"{split}_set"), cam, n, worst)
        else:
            assert isinstance(model, MultiLabelClassifier)
            results = show_labels(found, model, n, worst)
        if worst:
            for path, loss in zip(results.paths, results.losses, strict=True):
                print(f"loss {loss:<10.4f}  {path}")
        write_figure(Path(output), results.figure)
        print(f"results image  {output}")

    def report(
        self,
        model: pl.LightningModule,
        datamodule: pl.LightningDataModule,
        ckpt_path: str,
        split: Literal["valid", "test"] = "valid",
        output: str | None = None,
    ) -> None:
        """Write one html page about a checkpoint, which holds everything it shows.

        Args:
            model: takes the checkpoint's weights.
            datamodule: whose images are predicted.
            ckpt_path: the checkpoint.
            split: valid or test (images of train would be augmented ones).
            output: the page that is written; None: report.html in the run's folder.
        """
        path = Path(output) if output else run_of(Path(ckpt_path)) / "report.html"
        require_place(path, [Path(ckpt_path), *_tables(datamodule)])
        found = self._predictions(model, datamodule, ckpt_path, split)
        report(Path(ckpt_path), model, found, split, path)
        print(f"report           {shown(path)}")

    def _predictions(
        self, model: pl.LightningModule, datamodule: pl.LightningDataModule, ckpt_path: str, split: Split
    ) -> LabelPredictions | PointPredictions:
        load_weights(model, Path(ckpt_path))
        model.to(self.strategy.root_device)
        with self.strategy.precision_plugin.forward_context():
            if isinstance(model, MultiLabelClassifier) and isinstance(datamodule, MultiLabelDataModule):
                return label_predictions(model, datamodule, split)
            if isinstance(model, KeypointRegressor) and isinstance(datamodule, KeypointDataModule):
                return point_predictions(model, datamodule, split)
        raise ConfigError(f"Labels or points are predicted, not {type(model).__name__} on {type(datamodule).__name__}.")


def _tables(datamodule: pl.LightningDataModule) -> list[Path]:
    """Return the user's own tables, which nothing must be written over."""
    return [path for name in ("csv", "test_csv") if isinstance(path := getattr(datamodule, name, None), Path)]
