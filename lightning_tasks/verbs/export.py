"""Write a checkpoint for other programs, and check that what was written says the same."""

import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from lightning_tasks.atomic_write import require_place, write_whole
from lightning_tasks.data.images.decode import Image
from lightning_tasks.deploy.exports.annotated import Annotated, Files, annotated_images, score, score_name
from lightning_tasks.deploy.exports.describe import metadata
from lightning_tasks.deploy.exports.onnx_file import (
    Precision,
    halved,
    open_onnx,
    quantise,
    require_onnx,
    write_onnx,
)
from lightning_tasks.deploy.exports.parity import Bound, bound_of, parity, require, said, scaled, summed_up
from lightning_tasks.deploy.exports.program import open_program, write_program
from lightning_tasks.deploy.exports.run import Run
from lightning_tasks.deploy.exports.weights import json_beside, open_weights, write_weights
from lightning_tasks.deploy.load import load
from lightning_tasks.deploy.predictor import Points, Predictor
from lightning_tasks.deploy.sources import find_images
from lightning_tasks.errors import ConfigError, DatasetNotFoundError
from lightning_tasks.filesystem import as_text

Format = Literal["onnx", "torch", "safetensors"]

_SUFFIXES = {"onnx": ".onnx", "torch": ".pt2", "safetensors": ".safetensors"}
_CALIBRATION = 128
_TIMED = 20


def export(
    checkpoint: str,
    format: Format = "onnx",
    output: str | None = None,
    precision: Precision = "float32",
    images: str | None = None,
    data_root: str | None = None,
    n: int = 64,
    max_difference: float | None = None,
) -> None:
    """Write a checkpoint for other programs: images in, probabilities or pixels out, and check that it says the same.

    Args:
        checkpoint: all that is needed of the training.
        format: onnx, for any runtime of it; torch, a program of torch.export; safetensors, weights, with a JSON file
            that says how to build the network.
        output: the file; None: beside the checkpoint, under its name.
        precision: of an ONNX file: float32, float16, or int8 for convolutions (not the first, nor depthwise ones).
        images: files, a folder, a pattern or a csv to check with; None: those of the checkpoint's validation split.
        data_root: the folder that the checkpoint's data lie in now; None: where they lay.
        n: how many images to check with.
        max_difference: allowed from the checkpoint's probabilities, or points on −1..1: the largest one, for int8 the
            root mean square. None: for float32 1e-4 from the resized image on and 1e-2 with the resize, else 0.1.
    """
    if precision != "float32" and format != "onnx":
        raise ConfigError(f"--precision {precision} is for ONNX; --format {format} writes float32.")
    if n < 1:
        raise ConfigError(f"--n is {n}; it must be at least 1.")
    bound = bound_of(precision, max_difference)
    if format == "onnx":
        require_onnx()
    path = Path(checkpoint)
    suffix = _SUFFIXES[format] if precision == "float32" else f".{precision}{_SUFFIXES[format]}"
    target = Path(output) if output is not None else path.with_suffix(suffix)
    if target.suffix != _SUFFIXES[format]:
        raise ConfigError(f"{target}: --format {format} is written as {_SUFFIXES[format]}. End --output in it.")
    if as_text(target) != str(target):  # torch would end the whole process
        raise ConfigError(f"{as_text(target)}: the libraries that write exports take names in UTF-8 alone: --output.")
    require_place(target, [path])
    if format == "safetensors":
        require_place(json_beside(target), [path])
    predictor = load(checkpoint, "cpu")
    own = _own_images(path, data_root, needed=images is None)
    checked = own.valid if images is None and own is not None else Files(_named(images), None, predictor.white_level)
    shown = checked.some(n)
    print(f"checking with    {len(shown)} images")
    lines: list[str] = []

    def make(new: Path) -> None:
        described = metadata(predictor, path)
        if format == "onnx":
            _write_onnx(predictor, new, described, precision, own, shown)
        elif format == "torch":
            write_program(predictor.network, new, described)
        else:
            write_weights(path, new, described)
        try:
            run = {"onnx": open_onnx, "torch": open_program, "safetensors": open_weights}[format](new)
            lines.extend(_checked(predictor, run, shown, precision, bound))
            if precision != "float32":
                lines.extend(_measured(predictor, run, own, precision, bound))
            lines.append(_timed(predictor, run, shown))
            if format == "safetensors":
                json_beside(new).replace(json_beside(target))
        finally:
            json_beside(new).unlink(missing_ok=True)

    write_whole(target, make)
    print("\n".join(lines))
    for files in (own.training, own.valid) if own is not None else ():
        files.tell_skipped()
    print(f"exported         {target}  ({target.stat().st_size / 1e6:.1f} MB)")


def _write_onnx(
    predictor: Predictor, new: Path, described: dict[str, str], precision: Precision, own: Annotated | None,
    shown: Sequence[Image],
) -> None:  # fmt: skip
    output = "points" if isinstance(predictor.names, Points) else "probabilities"
    if precision != "int8":
        network = halved(predictor.network) if precision == "float16" else predictor.network
        write_onnx(network, new, described, output)
        return
    whole = new.with_name(f"{new.name}.float32")
    try:
        write_onnx(predictor.network, whole, described, output)
        images = shown if own is None else own.training.some(_CALIBRATION)
        quantise(whole, new, [image[None] for image in images])
    finally:
        whole.unlink(missing_ok=True)


def _checked(predictor: Predictor, run: Run, shown: Sequence[Image], precision: Precision, bound: Bound) -> list[str]:
    found = parity(predictor, run, shown, bound.statistic)
    lines = [
        f"{bound.statistic} difference {_what(predictor)} from the checkpoint's, over {found.images} images:",
    ]
    for name, value, most in (
        ("from the resized image on", found.from_resized, bound.from_resized),
        ("with the resize", found.whole_path, bound.whole_path),
    ):
        require(name, value, most, precision, bound.statistic)
        lines.append(f"  {name:<29}  {value:.1e}  (bound: {most:g})")
    return lines


def _measured(predictor: Predictor, run: Run, own: Annotated | None, precision: Precision, bound: Bound) -> list[str]:
    """Return the score before and after on all validation images, which are held to the bound too."""
    if own is None:
        return ["the annotated images are not there: the change of the score was not measured (--data_root FOLDER)"]
    rows, before, after, differences = [], [], [], []
    bar = tqdm(range(len(own.valid.paths)), desc="measuring", unit="", leave=False, disable=None)
    for row, image in own.valid.read(bar):
        images = image[None]
        before.append(said(predictor, images)[0])
        after.append(run(images)[0])
        differences.append(scaled(predictor, (after[-1] - before[-1])[None], images))
        rows.append(row)
    name = f"over {len(rows):,} validation images"
    value = summed_up(np.concatenate(differences), bound.statistic)
    require(name, value, bound.whole_path, precision, bound.statistic)
    lines = [f"  {name:<29}  {value:.1e}  (bound: {bound.whole_path:g})"]
    scores = [score(own, rows, np.stack(outputs)) for outputs in (before, after)]
    if np.isfinite(scores).all():
        return [*lines, f"{score_name(own)} {name}: {scores[0]:.4f} → {scores[1]:.4f}"]
    return [*lines, f"{score_name(own)}: none, as nothing is annotated that these images could be scored by"]


def _what(predictor: Predictor) -> str:
    return "of points on −1..1" if isinstance(predictor.names, Points) else "of probabilities"


def _timed(predictor: Predictor, run: Run, shown: Sequence[Image]) -> str:
    """Return how long an image takes, ours and theirs in turn."""

    def ours(images: NDArray[np.uint8]) -> None:
        with torch.inference_mode():
            predictor.network(torch.from_numpy(images))

    seconds = np.zeros(2)
    for image in islice(shown, _TIMED):
        for i, call in enumerate((ours, run)):
            began = time.perf_counter()
            call(image[None])
            seconds[i] += time.perf_counter() - began
    checkpoint_ms, file_ms = seconds / min(len(shown), _TIMED) * 1000
    return f"an image at a time, on this CPU: checkpoint {checkpoint_ms:.1f} ms, this file {file_ms:.1f} ms"


def _own_images(checkpoint: Path, root: str | None, *, needed: bool) -> Annotated | None:
    try:
        return annotated_images(checkpoint, root)
    except DatasetNotFoundError as error:
        if not needed and root is None:
            return None
        raise DatasetNotFoundError(f"{error} Or check with images of your own: --images FOLDER") from error


def _named(images: str | None) -> list[Path]:
    assert images is not None
    return [found.path for found in find_images([images], None)]
