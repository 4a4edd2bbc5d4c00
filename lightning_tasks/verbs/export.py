"""Write a checkpoint for other programs, and check that what was written predicts the same."""

import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm import tqdm

from lightning_tasks.atomic_write import require_place, write_whole
from lightning_tasks.data.datamodule import ImageDataModule
from lightning_tasks.data.images.decode import Image
from lightning_tasks.deploy.exports.onnx_file import Precision, halve, open_onnx, quantise, require_onnx, write_onnx
from lightning_tasks.deploy.exports.parity import (
    Bound,
    Files,
    bound_of,
    compare,
    files_of,
    parity,
    require,
    summarise,
    training_data,
)
from lightning_tasks.deploy.exports.torch_files import (
    Run,
    json_beside,
    metadata,
    open_program,
    open_weights,
    runner_of,
    write_program,
    write_weights,
)
from lightning_tasks.deploy.predictor import Predictor, load_one
from lightning_tasks.deploy.sources import find_images
from lightning_tasks.errors import ConfigError, DatasetNotFoundError
from lightning_tasks.filesystem import as_text
from lightning_tasks.reports.terminal import tell_skipped

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
    """Write a checkpoint for other programs: images in, outputs out, and check that it predicts the same.

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
    if n < 1:
        raise ConfigError(f"--n is {n}; it must be at least 1.")
    bound = bound_of(precision, max_difference)
    path = Path(checkpoint)
    target = _target(path, output, format, precision)
    if format == "onnx":
        require_onnx()
    predictor = load_one(checkpoint, "cpu")
    own = _own_images(path, data_root, needed=images is None)
    if images is not None:
        files = Files([found.path for found in find_images([images], None)], None, predictor.white_level)
    else:
        assert own is not None
        files = files_of(own, own.valid_set)
    taken = files.take(n)
    print(f"checking with    {len(taken)} images")
    lines: list[str] = []

    def make(new: Path) -> None:
        _write(predictor, path, new, format, precision, taken if own is None else files_of(own, own.train_set))
        run = {"onnx": open_onnx, "torch": open_program, "safetensors": open_weights}[format](new)
        lines.extend(_check(predictor, run, taken, bound))
        if precision != "float32":
            lines.extend(_measure(predictor, run, own, bound))
        lines.append(_time(predictor, run, taken))
        if format == "safetensors":
            json_beside(new).replace(json_beside(target))

    write_whole(target, make)
    print("\n".join(lines))
    for dataset in (own.train_set, own.valid_set) if own is not None else ():
        tell_skipped(dataset)
    print(f"exported         {target}  ({target.stat().st_size / 1e6:.1f} MB)")


def _target(checkpoint: Path, output: str | None, format: Format, precision: Precision) -> Path:
    suffix = _SUFFIXES[format]
    if precision != "float32" and format != "onnx":
        raise ConfigError(f"--precision {precision} is for ONNX; --format {format} writes float32.")
    default = checkpoint.with_suffix(suffix if precision == "float32" else f".{precision}{suffix}")
    target = default if output is None else Path(output)
    if target.suffix != suffix:
        raise ConfigError(f"{target}: --format {format} is written as {suffix}. End --output in it.")
    if as_text(target) != str(target):  # torch would end the whole process
        raise ConfigError(f"{as_text(target)}: the libraries that write exports take names in UTF-8 alone: --output.")
    for path in (target, json_beside(target)) if format == "safetensors" else (target,):
        require_place(path, [checkpoint])
    return target


def _write(
    predictor: Predictor,
    checkpoint: Path,
    new: Path,
    format: Format,
    precision: Precision,
    calibration: Files | Sequence[Image],
) -> None:
    described, module = metadata(predictor, checkpoint), predictor.module
    output = predictor.output_format.output_name
    if format == "torch":
        write_program(module, new, described)
    elif format == "safetensors":
        write_weights(checkpoint, new, described)
    elif precision != "int8":
        write_onnx(halve(module) if precision == "float16" else module, new, described, output)
    else:
        whole = new.with_name(f"{new.name}.float32")
        write_onnx(module, whole, described, output)
        images = calibration.take(_CALIBRATION) if isinstance(calibration, Files) else calibration
        quantise(whole, new, [image[None] for image in images])


def _check(predictor: Predictor, run: Run, taken: Sequence[Image], bound: Bound) -> list[str]:
    found = parity(predictor, run, taken, bound.statistic)
    unit = predictor.output_format.unit_scale
    return [
        f"{bound.statistic} difference of {unit} from the checkpoint's, over {found.images} images:",
        require("from the resized image on", found.from_resized, bound.from_resized, bound),
        require("with the resize", found.whole_path, bound.whole_path, bound),
    ]


def _measure(predictor: Predictor, run: Run, own: ImageDataModule | None, bound: Bound) -> list[str]:
    """Return the score before and after on all validation images, which are held to the bound too."""
    if own is None:
        return ["the annotated images are not there: the change of the score was not measured (--data_root FOLDER)"]
    output_format = predictor.output_format
    rows, outputs = [], []
    bar = tqdm(range(len(own.valid_set.paths)), desc="measuring", unit="", leave=False, disable=None)
    for row, image in files_of(own, own.valid_set).read(bar):
        rows.append(row)
        outputs.append(compare(predictor, run, image[None]))
    before, after, differences = map(np.concatenate, zip(*outputs, strict=True))
    name = f"over {len(rows):,} validation images"
    value = summarise(differences, bound.statistic)
    line = require(name, value, bound.whole_path, bound)
    scores = [output_format.score(said, own.valid_set, rows) for said in (before, after)]
    if np.isfinite(scores).all():
        return [line, f"{output_format.score_name} {name}: {scores[0]:.4f} → {scores[1]:.4f}"]
    return [line, f"{output_format.score_name}: none, as nothing is annotated that these images could be scored by"]


def _time(predictor: Predictor, run: Run, taken: Sequence[Image]) -> str:
    """Return how long an image takes, ours and theirs in turn."""
    seconds = np.zeros(2)
    for image in islice(taken, _TIMED):
        for i, call in enumerate((runner_of(predictor.module), run)):
            began = time.perf_counter()
            call(image[None])
            seconds[i] += time.perf_counter() - began
    checkpoint_ms, file_ms = seconds / min(len(taken), _TIMED) * 1000
    return f"an image at a time, on this CPU: checkpoint {checkpoint_ms:.1f} ms, this file {file_ms:.1f} ms"


def _own_images(checkpoint: Path, root: str | None, *, needed: bool) -> ImageDataModule | None:
    try:
        return training_data(checkpoint, root)
    except DatasetNotFoundError as error:
        if not needed and root is None:
            return None
        raise DatasetNotFoundError(f"{error} Or check with images of your own: --images FOLDER") from error
