"""Does an exported file predict what the checkpoint predicts, and on which images is that seen?"""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

import lightning_tasks.tasks as public
from lightning_tasks.checkpoint import data_settings, read_checkpoint
from lightning_tasks.data.datamodule import ImageDataModule
from lightning_tasks.data.images.decode import Image, read_image, resize
from lightning_tasks.data.loading.dataset import ImageDataset
from lightning_tasks.data.loading.skipping import Skipped, readable
from lightning_tasks.deploy.exports.onnx_file import Precision
from lightning_tasks.deploy.exports.torch_files import Run, runner_of
from lightning_tasks.deploy.predictor import Predictor
from lightning_tasks.errors import CheckpointError, ConfigError, DatasetNotFoundError, ImageError
from lightning_tasks.tasks.registry import task_of

Statistic = Literal["largest", "root mean square"]


class Parity(NamedTuple):
    """Differences over some images, as one number, on the unit scale of the outputs."""

    from_resized: float  # images that the resize leaves as they are, as one batch; infinite where one is not finite
    whole_path: float  # the images themselves, one by one; likewise
    images: int


class Bound(NamedTuple):
    """How much of which difference is allowed."""

    precision: Precision
    statistic: Statistic
    from_resized: float
    whole_path: float  # with the resize: a pixel between two whole numbers may be rounded to either


# Of lite0 with a head that was sure of everything, float16 moved a probability by .03 at most. int8 moved single ones
# by .7, and yet .07 in the root mean square, where a network that is broken moves them by .26 and more.
_BOUNDS = (
    Bound("float32", "largest", 1e-4, 1e-2),
    Bound("float16", "largest", 0.1, 0.1),
    Bound("int8", "root mean square", 0.1, 0.1),
)


def bound_of(precision: Precision, most: float | None) -> Bound:
    """Return a precision's bound, or `most` in its place; ConfigError where that is no bound."""
    bound = next(bound for bound in _BOUNDS if bound.precision == precision)
    if most is None:
        return bound
    if not 0 < most < math.inf:  # nor NaN
        raise ConfigError(f"--max_difference is {most}; it is a number above 0, on probabilities or −1..1.")
    return bound._replace(from_resized=most, whole_path=most)


def parity(predictor: Predictor, run: Run, images: Sequence[Image], statistic: Statistic = "largest") -> Parity:
    """Compare a file with the checkpoint's predictor, on the CPU, over (H, W, 3) of any sizes; see `compare`."""
    squashed = np.stack([resize(image, predictor.module.preprocess.squashed) for image in images])
    whole_path = [compare(predictor, run, image[None])[-1] for image in images]
    from_resized = compare(predictor, run, squashed)[-1]
    return Parity(summarise(from_resized, statistic), summarise(np.concatenate(whole_path), statistic), len(images))


def summarise(values: NDArray[np.float32], statistic: Statistic) -> float:
    """Return one number for differences of any shape; infinity where one is not finite, which is no small one."""
    if not np.isfinite(values).all():
        return math.inf
    if statistic == "largest":
        return float(np.abs(values).max())
    return float(np.sqrt(np.square(values, dtype=np.float64).mean()))


def require(name: str, value: float, most: float, bound: Bound) -> str:
    """Return a line with a difference; CheckpointError: it is more than allowed, or not finite."""
    if value <= most and math.isfinite(value):
        return f"  {name:<29}  {value:.1e}  (bound: {most:g})"
    if not math.isfinite(value):
        wrong = f"it says NaN or infinity, {name}"
        do = f"Take --precision float32: this network's numbers are beyond {bound.precision}."
    else:
        wrong = f"{name} they differ by {value:.1e} ({bound.statistic}), more than {most:g}"
        unit = 10.0 ** (math.floor(math.log10(value)) - 1)
        enough = float(f"{(math.floor(value / unit) + 1) * unit:.2g}")  # whatever is rounded in the other run
        do = f"Take --precision float32, or allow what {bound.precision} loses: --max_difference {enough:g}."
    if bound.precision == "float32":
        do = "Another --format may do; please report the backbone."
    raise CheckpointError(
        f"The exported file does not say what the checkpoint says: {wrong}. Nothing was written. {do}"
    )


def compare(predictor: Predictor, run: Run, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
    """Return outputs (B, ...) for (B, H, W, 3): the checkpoint's, a file's, and how far off on the unit scale.

    Raises:
        ConfigError: the checkpoint predicts NaN.
    """
    wanted = runner_of(predictor.module)(images)
    if not np.isfinite(wanted).all():
        raise ConfigError("The model predicts NaN: its training diverged. Take an earlier checkpoint.")
    found = run(images)
    size = images.shape[1], images.shape[2]
    return wanted, found, predictor.output_format.to_unit_scale(found - wanted, size)


class Files(NamedTuple):
    """Images to be read, and where those are noted that cannot be; None: that is an error."""

    paths: Sequence[Path]
    skipped: Skipped | None
    white_level: int | None  # of those of more than 8 bits

    def read(self, rows: Iterable[int]) -> Iterator[tuple[int, Image]]:
        """Yield those of the images that can be read, each with its row.

        Raises:
            ImageError: one cannot be read; or of those that are to be skipped there are too many, or nothing is left.
        """
        images = readable(rows, lambda row: read_image(self.paths[row], white_level=self.white_level), self.skipped)
        first = next(images, None)
        if first is None:
            raise ImageError("None of the images can be read. `lightning-tasks check` lists them; or name others.")
        yield first
        yield from images

    def take(self, n: int) -> list[Image]:
        """Return n images from all over the list, or as many as there are; errors as `read`."""
        spread = np.unique(np.linspace(0, len(self.paths) - 1, num=min(n, len(self.paths))).astype(int))
        others = np.setdiff1d(np.arange(len(self.paths)), spread)  # in place of those that cannot be read
        return [image for _, image in islice(self.read([*spread.tolist(), *others.tolist()]), n)]


def files_of(datamodule: ImageDataModule, dataset: ImageDataset[Any]) -> Files:
    """Return the images of one of its splits."""
    return Files(dataset.paths, dataset.skipped, datamodule.white_level)


def training_data(checkpoint: Path, root: str | None) -> ImageDataModule:
    """Return, set up, the data that a checkpoint was trained on, which lie in `root` now; None: where they lay.

    Raises:
        DatasetNotFoundError: they are not there, or the checkpoint does not say where they were.
        LightningTasksError: their table cannot be used.
    """
    content = read_checkpoint(checkpoint)
    given = data_settings(content)
    name = str(given.get("_class_path", "")).rpartition(".")[2]
    cls: Any = getattr(public, name) if name in public.__all__ else None  # of a checkpoint, only classes of ours
    if cls is None or not issubclass(cls, ImageDataModule):
        raise DatasetNotFoundError(f"{checkpoint} does not say which data it was trained on. Name some: --images.")
    arguments = {key: value for key, value in given.items() if not key.startswith("_")}
    if root is not None:
        arguments["root"] = root
    names_key = task_of(content["hyper_parameters"]).names_key
    if names_key in arguments:
        arguments[names_key] = list(content["hyper_parameters"][names_key])
    arguments |= {"cache": "none", "num_workers": 0}
    try:
        datamodule: ImageDataModule = cls(**arguments)
    except TypeError as error:
        raise DatasetNotFoundError(f"{checkpoint} is of another version ({error}). Name images: --images.") from error
    datamodule.setup("fit")
    return datamodule
