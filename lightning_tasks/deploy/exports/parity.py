"""Does an exported file say what the checkpoint says?"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from lightning_tasks.data.images import Image, resize
from lightning_tasks.deploy.exports.run import Run
from lightning_tasks.deploy.predictor import Points, Predictor


class Parity(NamedTuple):
    """The largest differences over some pictures: of probabilities, or of points on the −1..1 scale."""

    from_resized: float  # pictures that the resize leaves as they are, as one batch
    whole_path: float  # the pictures themselves, one by one
    pictures: int


def parity(predictor: Predictor, run: Run, pictures: Sequence[Image]) -> Parity:
    """Compare an exported file with the checkpoint that it was made from.

    Args:
        predictor: of the checkpoint, on the CPU.
        run: the exported file.
        pictures: (H, W, 3) each, of any sizes.
    """
    squashed = np.stack([resize(picture, predictor.network.preprocess.squashed) for picture in pictures])
    one_by_one = [_difference(predictor, run, picture[None]) for picture in pictures]
    return Parity(_difference(predictor, run, squashed), max(one_by_one), len(pictures))


def _difference(predictor: Predictor, run: Run, images: NDArray[np.uint8]) -> float:
    with torch.inference_mode():
        wanted = predictor.network(torch.from_numpy(images)).numpy()
    difference = np.abs(run(images) - wanted)
    if isinstance(predictor.names, Points):
        height, width = images.shape[1:3]
        difference = difference * 2 / np.array([width, height])
    # NaN is no small difference.
    return float(difference.max()) if np.isfinite(difference).all() else float("inf")
