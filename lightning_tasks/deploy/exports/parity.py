"""Does an exported file predict what the checkpoint predicts?"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from lightning_tasks.data.images.decode import Image, resize
from lightning_tasks.deploy.exports.onnx_file import Precision
from lightning_tasks.deploy.exports.run import Run
from lightning_tasks.deploy.predictor import Predictor
from lightning_tasks.errors import CheckpointError, ConfigError

Statistic = Literal["largest", "root mean square"]


class Parity(NamedTuple):
    """Differences over some images, as one number, on the unit scale of the outputs."""

    from_resized: float  # images that the resize leaves as they are, as one batch; infinite where one is not finite
    whole_path: float  # the images themselves, one by one; likewise
    images: int


class Bound(NamedTuple):
    """How much of which difference is allowed."""

    statistic: Statistic
    from_resized: float
    whole_path: float  # with the resize: a pixel between two whole numbers may be rounded to either


# Of lite0 with a head that was sure of everything, float16 moved a probability by .03 at most. int8 moved single ones
# by .7, and yet .07 in the root mean square, where a network that is broken moves them by .26 and more.
BOUNDS: dict[Precision, Bound] = {
    "float32": Bound("largest", 1e-4, 1e-2),
    "float16": Bound("largest", 0.1, 0.1),
    "int8": Bound("root mean square", 0.1, 0.1),
}


def bound_of(precision: Precision, most: float | None) -> Bound:
    """Return the bound of a precision; `most`: in place of its own.

    Raises:
        ConfigError: that is no bound.
    """
    if most is None:
        return BOUNDS[precision]
    if not 0 < most < math.inf:  # nor NaN
        raise ConfigError(f"--max_difference is {most}; it is a number above 0, on probabilities or −1..1.")
    return Bound(BOUNDS[precision].statistic, most, most)


def parity(predictor: Predictor, run: Run, images: Sequence[Image], statistic: Statistic = "largest") -> Parity:
    """Compare an exported file with the checkpoint that it was made from.

    Args:
        predictor: of the checkpoint, on the CPU.
        run: the exported file.
        images: (H, W, 3) each, of any sizes.
        statistic: of the differences.

    Raises:
        ConfigError: the checkpoint itself says NaN.
    """
    squashed = np.stack([resize(image, predictor.module.preprocess.squashed) for image in images])
    whole_path = [differences(predictor, run, image[None]) for image in images]
    from_resized = differences(predictor, run, squashed)
    return Parity(summarise(from_resized, statistic), summarise(np.concatenate(whole_path), statistic), len(images))


def summarise(values: NDArray[np.float32], statistic: Statistic) -> float:
    """Return one number for differences of any shape; infinity where one is not finite, which is no small one."""
    if not np.isfinite(values).all():
        return math.inf
    if statistic == "largest":
        return float(np.abs(values).max())
    return float(np.sqrt(np.square(values, dtype=np.float64).mean()))


def require(name: str, value: float, most: float, precision: Precision, statistic: Statistic) -> None:
    """Raise CheckpointError where a difference is more than is allowed, or not finite, which no bound allows."""
    if value <= most and math.isfinite(value):
        return
    if not math.isfinite(value):
        wrong = f"it says NaN or infinity, {name}"
    else:
        wrong = f"{name} they differ by {value:.1e} ({statistic}), more than {most:g}"
    if precision == "float32":
        do = "Another --format may do; please report the backbone."
    elif not math.isfinite(value):
        do = f"Take --precision float32: this network's numbers are beyond {precision}."
    else:
        do = f"Take --precision float32, or allow what {precision} loses: --max_difference {_round_up(value):g}."
    raise CheckpointError(
        f"The exported file does not say what the checkpoint says: {wrong}. Nothing was written. {do}"
    )


def outputs_of(predictor: Predictor, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the checkpoint's outputs (B, ...) for (B, H, W, 3) images.

    Raises:
        ConfigError: it predicts NaN.
    """
    with torch.inference_mode():
        outputs: NDArray[np.float32] = predictor.module(torch.from_numpy(images)).numpy()
    if not np.isfinite(outputs).all():
        raise ConfigError("The model predicts NaN: its training diverged. Take an earlier checkpoint.")
    return outputs


def differences(predictor: Predictor, run: Run, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return how far an exported file's outputs (B, ...) for (B, H, W, 3) images are off, on their unit scale."""
    off = run(images) - outputs_of(predictor, images)
    return predictor.output_format.to_unit_scale(off, (images.shape[1], images.shape[2]))


def _round_up(value: float) -> float:
    """Return the next number of two digits that is greater, whatever is rounded in the other run."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{(math.floor(value / unit) + 1) * unit:.2g}")
