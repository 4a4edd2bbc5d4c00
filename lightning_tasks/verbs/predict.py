"""Predict anybody's images from a checkpoint alone, and write a row, or an annotation, for each."""

import contextlib
import sys
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from lightning_tasks.cores import usable_cores
from lightning_tasks.csv_text import STDOUT
from lightning_tasks.data.images.decode import MAX_PIXELS, Size, read_image
from lightning_tasks.deploy.annotation_files.formats import Format, check_place, default_output, open_file
from lightning_tasks.deploy.draw import annotate_images, check_folder
from lightning_tasks.deploy.ensemble import load
from lightning_tasks.deploy.prediction_table import PredictionOutput, PredictionTable, Row, check_output
from lightning_tasks.deploy.predictor import Predictor
from lightning_tasks.deploy.ranking import Rank, Ranker
from lightning_tasks.deploy.sources import STDIN, Found, LeftOut, search
from lightning_tasks.errors import ConfigError, ImageError
from lightning_tasks.tasks.prediction import Prediction

_LISTED = 5
Predict = Callable[[Sequence[Sequence[Tensor]], Sequence[Size]], list[Prediction]]


def predict(
    checkpoint: str,
    paths: Sequence[str],
    ensemble: list[str] | str | None = None,
    output: str | None = None,
    format: Format | None = None,
    prefix: str = "",
    annotate: str | None = None,
    images: str | None = None,
    allow_outside: bool = False,
    batch_size: int = 64,
    device: str = "auto",
    threshold: float | None = None,
    flip: bool = False,
    scales: tuple[float, ...] = (1.0,),
    rank: Rank | None = None,
    top: int | None = None,
    excel: bool = False,
    progress: bool = True,
    allow_pixels: int = MAX_PIXELS,
    white_level: int | None = None,
) -> int:
    """Predict images and write a row, or an annotation, for each; exit with 1 if any could not be read.

    After Ctrl-C, SIGTERM and errors on the way the file holds what was predicted until then.

    Args:
        checkpoint: all that is needed of the training: no config, no data; or a cross-validation's folder.
        paths: files, folders with all below them, patterns, or csv files with a column `fname`; -: names on standard
            input, one a line.
        ensemble: further checkpoints, or a cross-validation's folder, `[b.ckpt, c.ckpt]`: the mean of what all predict.
        output: the table that is written; by its ending .csv, .json or .parquet; -: csv to standard output; None:
            predictions.csv, or what `format` asks for.
        format: pre-annotations for a tool in place of a table: coco (.json), label-studio (.json) or cvat (.xml).
        prefix: what stands before each file name in them, such as '/data/local-files/?d=FOLDER/' for Label Studio.
        annotate: a folder for copies of the images with what is predicted drawn on them.
        images: the folder that a csv's file names start from; None: the csv's own.
        allow_outside: let a csv's file names lead out of that folder.
        batch_size: images that the network takes at once.
        device: `cpu`, `cuda`, `cuda:1`, `mps`; `auto`: an accelerator where there is one.
        threshold: for all labels, in place of those in the checkpoint.
        flip: also predict the mirrored images, and average.
        scales: predict at these multiples of the model's size, and average.
        rank: what to label next: `uncertain` images first; or, of the most uncertain, the most `diverse`. The table
            has their ranks, and pre-annotations stand in that order.
        top: with `rank`, how many are written; None: all.
        excel: a csv that Excel reads as UTF-8 and of which it calculates nothing.
        progress: show a bar, on a terminal.
        allow_pixels: an image with more is not read, as few bytes may ask for gigabytes; each megapixel takes 20 MB.
        white_level: which value is white in images of more than 8 bits, in place of the checkpoint's: 4095 of 12 bits.
    """
    if batch_size < 1:
        raise ConfigError(f"--batch_size is {batch_size}; it must be at least 1.")
    if annotate == "":  # a shell's variable that is not set; to Path it is the current folder
        raise ConfigError("--annotate names no folder. For the current one write a dot.")
    path = Path(default_output(format) if output is None else output)
    folder = None if annotate is None else Path(annotate)
    found, left_out = search(paths, images, allow_outside)
    if folder is not None:
        check_folder(folder, found)
    checkpoints = [checkpoint, *([ensemble] if isinstance(ensemble, str) else ensemble or [])]
    inputs = [*map(Path, checkpoints), *(Path(source) for source in paths if source != STDIN)]
    if format is not None:
        check_place(path, format, excel=excel, inputs=inputs)
    elif prefix:
        raise ConfigError("--prefix is for file names in --format coco, label-studio or cvat, and none is asked for.")
    else:
        check_output(path, excel=excel, inputs=inputs)
    _check_rank(rank, top)
    predictor = load(
        checkpoints,
        device,
        threshold=threshold,
        flip=flip,
        scales=scales,
        allow_pixels=allow_pixels,
        white_level=white_level,
    )

    def open_output(images: Sequence[Found]) -> PredictionOutput:
        if format is not None:
            return open_file(path, format, predictor.output_format, images, checkpoint, prefix)
        return PredictionTable(path, predictor.output_format, excel=excel, ranked=rank is not None)

    if rank is None:
        with contextlib.closing(open_output(found)) as into:
            undrawn, stopped = _predict_into(
                into.add, predictor, predictor.predict, found, batch_size, folder, progress
            )
            return _finish(into, into.num_rows, len(found), folder, undrawn, left_out, stopped)
    open_output(found).close()  # what it refuses it refuses before the work
    ranker, rows = Ranker(predictor, rank), list[Row]()
    undrawn, stopped = _predict_into(rows.extend, predictor, ranker.predict, found, batch_size, folder, progress)
    ranked = ranker.ranked(rows, top)
    with contextlib.closing(open_output([Found(row.path, row.name) for row in ranked])) as into:
        into.add(ranked)
        return _finish(into, len(rows), len(found), folder, undrawn, left_out, stopped)


def _check_rank(rank: Rank | None, top: int | None) -> None:
    if top is not None and rank is None:
        raise ConfigError("--top is for --rank uncertain or diverse: of these the first. Name one, or leave it out.")
    if top is not None and top < 1:
        raise ConfigError(f"--top is {top}; it must be at least 1.")


def _finish(
    into: PredictionOutput,
    num_predicted: int,
    num_found: int,
    folder: Path | None,
    undrawn: Sequence[str],
    left_out: LeftOut,
    stopped: BaseException | None,
) -> int:
    """Write what there is, say what it is, and return the exit code; raise what has stopped it."""
    if into.num_rows or stopped is None:
        into.write()
    with contextlib.redirect_stdout(sys.stderr if into.path == STDOUT else sys.stdout):  # the table may have that
        _report(into, folder, undrawn, left_out)
        if stopped is not None:
            kept = f"{into.path} holds these" if into.num_rows else "nothing is written"
            print(f"stopped          {num_predicted:,} of {num_found:,} images were predicted; {kept}")
            raise stopped
    return 1 if undrawn or left_out.unreadable or into.errors else 0


def _predict_into(
    add: Callable[[Sequence[Row]], object],
    predictor: Predictor,
    predict: Predict,
    found: Sequence[Found],
    batch_size: int,
    folder: Path | None,
    progress: bool,
) -> tuple[list[str], BaseException | None]:
    """Predict, and draw if there is a folder; return which copies could not be written, and what has stopped it."""
    undrawn: list[str] = []
    try:
        with contextlib.closing(_predict_batches(predictor, predict, found, batch_size, progress)) as batches:
            for batch in batches:
                add(batch)
                if folder is not None:
                    undrawn += annotate_images(batch, folder, predictor.allow_pixels, predictor.white_level)
    except BaseException as error:  # Ctrl-C, SIGTERM, memory that is out: what is done is not to be lost
        return undrawn, error
    return undrawn, None


def _report(into: PredictionOutput, folder: Path | None, undrawn: Sequence[str], left_out: LeftOut) -> None:
    bad = into.errors
    if into.num_rows:
        _print_lines("predictions", [f"{into.path}  ({into.num_rows - len(bad):,} images)"])
        for what, lines in into.remarks().items():
            _print_lines(what, lines)
        _print_lines("annotated", [] if folder is None else [str(folder)])
    _print_lines("not predicted", bad, into.errors_lie)
    _print_lines("not drawn", undrawn, "for the same reasons")
    _print_lines("not looked at", left_out.lines())


def _print_lines(what: str, lines: Sequence[str], where: str | None = None) -> None:
    """Print lines under a heading; with `where` the rest is to be found, the first few."""
    listed = lines if where is None else lines[:_LISTED]
    for line in listed:
        print(f"{what:<17}{line}")
    if len(lines) > len(listed):
        print(f"{what:<17}and {len(lines) - len(listed):,} more; {where}")


class _Preprocessed(NamedTuple):
    """An image on its way to the network, or why it is not."""

    inputs: list[Tensor]
    size: Size
    error: str | None


def _predict_batches(
    predictor: Predictor, predict: Predict, found: Sequence[Found], batch_size: int, progress: bool
) -> Generator[list[Row]]:
    """Yield rows batch by batch; the next batch is read while the network has this one."""
    bar = tqdm(total=len(found), desc="predicting", unit="", leave=False, disable=None if progress else True)
    # One thread each, or every one of them would take all cores for its resizing.
    pool = ThreadPoolExecutor(usable_cores(), initializer=torch.set_num_threads, initargs=(1,))
    try:
        reading: list[Future[_Preprocessed]] = []
        for begin in range(0, len(found) + batch_size, batch_size):
            ahead = [pool.submit(_preprocess, predictor, image.path) for image in found[begin : begin + batch_size]]
            if reading:
                yield _rows(predict, found[begin - batch_size : begin], [future.result() for future in reading])
                bar.update(len(reading))
            reading = ahead
    finally:
        bar.close()
        pool.shutdown(cancel_futures=True)  # after Ctrl-C, what was not begun is not


def _preprocess(predictor: Predictor, path: Path) -> _Preprocessed:
    try:
        image = read_image(path, predictor.allow_pixels, predictor.white_level)
        return _Preprocessed(predictor.preprocess(image), (image.shape[0], image.shape[1]), None)
    except ImageError as error:
        return _Preprocessed([], (0, 0), str(error))


def _rows(predict: Predict, found: Sequence[Found], preprocessed: Sequence[_Preprocessed]) -> list[Row]:
    good = [image for image in preprocessed if image.error is None]
    inputs, sizes = [image.inputs for image in good], [image.size for image in good]
    predictions = iter(predict(inputs, sizes) if good else [])
    return [
        Row(*file, next(predictions) if image.error is None else None, image.error, image.size)
        for file, image in zip(found, preprocessed, strict=True)
    ]
