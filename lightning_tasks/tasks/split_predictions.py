"""What a model predicts for a whole split, beside what is true."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
from matplotlib.figure import Figure
from pytorch_lightning import LightningModule
from torch import Tensor
from torch.utils.data import DataLoader

from lightning_tasks.checkpoint import read_checkpoint
from lightning_tasks.data.datamodule import ImageDataModule
from lightning_tasks.data.images.decode import Image, read_image
from lightning_tasks.data.loading.dataset import EpochSampler
from lightning_tasks.errors import CheckpointError, ConfigError, what_is_wrong
from lightning_tasks.reports.bootstrap import LEVEL, Intervals, intervals_of
from lightning_tasks.reports.gallery import ReadReduced
from lightning_tasks.reports.run_info import RunInfo
from lightning_tasks.reports.terminal import tell_skipped
from lightning_tasks.tasks.prediction import Annotation
from lightning_tasks.tasks.suspects import Suspect

Split = Literal["train", "valid", "test"]


@dataclass(frozen=True, kw_only=True)
class SplitPredictions(ABC):
    """N images in the split's order, what is predicted for them and what is true: fastai's `get_preds`.

    Its tensors and tuples have an entry for each image, but for those that `of_model` names.

    Attributes:
        of_model: names of the tensors and tuples that are not of the images but of the model.
        lower_is_better: how the names of such scores begin; of all others the higher is the better.
        card: the template in the tasks' folders that shows an image of a page, by its macros `image` and `details`.
    """

    of_model: ClassVar[tuple[str, ...]] = ()
    lower_is_better: ClassVar[tuple[str, ...]] = ("loss",)
    card: ClassVar[str] = ""

    rows: Tensor  # (N,) int64, which samples of the split they are
    paths: tuple[Path, ...]  # N files
    groups: tuple[str, ...]  # N names, or none
    white_level: int | None = None  # of the files of more than 8 bits

    @abstractmethod
    def losses(self) -> Tensor:
        """Return each image's loss (N,), by which some are the worst; NaN where nothing of it is annotated."""

    @abstractmethod
    def score(self) -> float:
        """Return the score that checkpoints are chosen by, over all images; NaN where nothing is annotated."""

    @abstractmethod
    def draw(self, rows: Tensor, losses: Sequence[float] = ()) -> Figure:
        """Draw what is true beside what is predicted for rows (n,) int64 of the N, with n losses below, if any."""

    @abstractmethod
    def write_csv(self, path: Path, *, excel: bool = False) -> list[str]:
        """Write a row for each image; return a sentence for each column whose name could not be kept.

        `path` `-`: standard output. `excel`: see `csv_text.write_csv`.
        """

    @abstractmethod
    def report(self, run: RunInfo, split: str, read: ReadReduced, ci: float | None = None) -> str:
        """Return an html page.

        Args:
            run: what is known of the training.
            split: the split's name, for the text.
            read: what reads a file, upright and at most so large; raises ImageError.
            ci: the level of the intervals beside the scores, such as 0.95; None: without.
        """

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """Return the images of several predictions, of a cross-validation's folds, say, as those of one.

        They stand one part after the other; `rows` are as they were. A tensor of the model is the parts' mean.

        Raises:
            ConfigError: what is not of the images, such as the labels, is not the same in all parts.
        """
        columns = {field.name: [getattr(part, field.name) for part in parts] for field in fields(cls)}
        return cls(**{name: _join(name, values, name in cls.of_model) for name, values in columns.items()})

    def on_scale_of(self, other: Self) -> Self:
        """Return these with losses in another model's unit, where that depends on what a model was trained on."""
        return self

    def resampled(self, counts: Tensor) -> dict[str, Tensor]:
        """Return the scores of resamples by their names: (R,) each, or (C, R) of a score that each output has.

        They are those of `take` with each row as often as `counts` says, (N, R) float32; see `reports.bootstrap`.
        """
        raise ConfigError(f"{type(self).__name__} tells no scores of resamples: there are no intervals (--ci) of them.")

    def card_details(self, row: int) -> object:
        """Return what the macro `details` of `card` shows of an image."""
        raise ConfigError(f"{type(self).__name__} cannot be shown beside another's.")

    def headline(self) -> dict[str, float]:
        """Return the scores that are told of a split, by their names."""
        scores = self.resampled(torch.ones(len(self.rows), 1))
        return {name: float(value) for name, value in scores.items() if value.ndim == 1}

    def intervals(self, level: float = LEVEL) -> Intervals:
        """Return how far the scores may be off, drawn by groups where there are any; see `intervals_of`."""
        return intervals_of(self.resampled, len(self.rows), self.groups, level)

    def take(self, rows: Tensor) -> Self:
        """Return the images of some rows (n,) int64 of the N, in that order and as often as they are named."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return type(self)(**{n: v if n in self.of_model else _take(v, rows) for n, v in values.items()})

    def suspects(self) -> list[Suspect]:
        """Return which annotations are probably wrong, the most suspicious first: of images not trained on.

        Raises:
            LightningTasksError: the task cannot tell, or a library for it is not installed.
        """
        raise ConfigError("What is suspicious in annotations is known of labels, points and numbers; not of these.")

    def corrected(self, row: int, suspects: Sequence[Suspect]) -> Annotation:
        """Return what is annotated of an image, with what the model says in place of the suspicious cells of it."""
        raise ConfigError("Annotation tools have no place for what this task annotates. Leave out --format.")

    def images(self, rows: Tensor) -> list[Image]:
        """Return some of the N images as they are on disk."""
        return [read_image(self.paths[row], white_level=self.white_level) for row in rows.tolist()]


def _join(name: str, values: Sequence[Any], of_model: bool) -> Any:  # noqa: ANN401 - a field of any kind
    """Return the field `name` of several predictions together; see `SplitPredictions.concatenate`."""
    first = values[0]
    if isinstance(first, Tensor):
        if not of_model:
            return torch.cat(list(values))
        return first if all(torch.equal(first, value) for value in values) else torch.stack(list(values)).mean(0)
    if isinstance(first, tuple) and not of_model:
        return tuple(entry for value in values for entry in value)
    other = next((value for value in values if value != first), first)
    if other != first:
        raise ConfigError(f"Predictions cannot be put together: their {name} differ ({first} and {other}).")
    return first


def _take(value: Any, rows: Tensor) -> Any:  # noqa: ANN401 - likewise
    if isinstance(value, Tensor):
        return value[rows]
    return tuple(value[row] for row in rows.tolist()) if isinstance(value, tuple) and value else value


def loader_of(datamodule: ImageDataModule, split: Split) -> DataLoader[Any]:
    """Return the batches of a split; `train` is augmented, in a shuffled order, without the last, partial batch.

    No image is in it twice, whatever training showed more often: scores are of the split.
    """
    datamodule.setup("test" if split == "test" else "fit")
    loaders = {"train": datamodule.train_dataloader, "valid": datamodule.val_dataloader}
    loader = loaders.get(split, datamodule.test_dataloader)()
    if isinstance(loader.sampler, EpochSampler):
        loader.sampler.repeat_factors = None
    return loader


def predict_batches(
    model: LightningModule, loader: DataLoader[Any], predict: Callable[[Any], tuple[Tensor, ...]]
) -> tuple[Tensor, ...]:
    """Return what `predict` makes of each batch, over all images of the loader, on the CPU.

    It goes from a batch of B images, on the model's device, to predictions and whatever else of the batch is wanted,
    (B, ...) each: in evaluation mode, which the model leaves thereafter, and without gradients.

    Raises:
        LightningTasksError: files cannot be read.
    """
    with evaluating(model), torch.inference_mode():
        batches = (type(batch)(*(tensor.to(model.device) for tensor in batch)) for batch in loader)
        parts = [[tensor.cpu() for tensor in predict(batch)] for batch in batches]
    tell_skipped(loader)
    return tuple(torch.cat(column) for column in zip(*parts, strict=True))


def require_finite(predictions: Tensor) -> None:
    """Raise ConfigError where a model predicts NaN or infinity."""
    if not predictions.isfinite().all():
        raise ConfigError(
            "The model predicts NaN: its training diverged. Take an earlier checkpoint, or train at a lower rate."
        )


def files_of(datamodule: ImageDataModule, split: Split, rows: Tensor) -> dict[str, Any]:
    """Return the arguments of `SplitPredictions` for some samples of a split."""
    dataset = getattr(datamodule, f"{split}_set")
    groups = tuple(dataset.groups[row] for row in rows) if dataset.groups else ()
    paths = tuple(dataset.paths[row] for row in rows)
    return {"rows": rows, "paths": paths, "groups": groups, "white_level": datamodule.white_level}


def load_weights(model: LightningModule, path: Path) -> None:
    """Give a model a checkpoint's weights.

    Raises:
        CheckpointError: they cannot be read, or are another model's.
    """
    checkpoint = read_checkpoint(path)
    model.on_load_checkpoint(checkpoint)
    try:
        model.load_state_dict(checkpoint["state_dict"])
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} does not fit {type(model).__name__} ({what_is_wrong(error)}). Give the config that it was trained "
            "with, or take another."
        ) from error


@contextlib.contextmanager
def evaluating(model: LightningModule) -> Iterator[None]:
    """Put every layer into evaluation mode, and back into the mode that it was in."""
    training = [module.training for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in zip(model.modules(), training, strict=True):
            module.training = mode
