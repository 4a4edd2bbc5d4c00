"""Predict anybody's pictures from a checkpoint alone, and write a row for each."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from torch import Tensor
from tqdm import tqdm

from lightning_tasks.data.cores import usable_cores
from lightning_tasks.data.images import MAX_PIXELS, Size, read_image
from lightning_tasks.deploy.annotate import annotate_pictures, check_folder
from lightning_tasks.deploy.load import load
from lightning_tasks.deploy.predictor import Prediction, Predictor
from lightning_tasks.deploy.rows import Row, check_suffix, write_rows
from lightning_tasks.deploy.sources import Found, find_pictures
from lightning_tasks.errors import ConfigError, ImageError

_BAD_LISTED = 5


def predict(
    checkpoint: str,
    paths: Sequence[str],
    output: str = "predictions.csv",
    annotate: str | None = None,
    images: str | None = None,
    allow_outside: bool = False,
    batch_size: int = 64,
    device: str = "auto",
    threshold: float | None = None,
    flip: bool = False,
    scales: tuple[float, ...] = (1.0,),
    progress: bool = True,
    allow_pixels: int = MAX_PIXELS,
) -> int:
    """Predict pictures and write a row for each; exit with 1 if any could not be read.

    Args:
        checkpoint: all that is needed of the training: no config, no data.
        paths: files, folders with all below them, patterns, or csv files with a column `fname`.
        output: the table that is written; by its ending .csv, .json or .parquet.
        annotate: a folder for copies of the pictures with labels or points drawn on them.
        images: the folder that a csv's file names start from; None: the csv's own.
        allow_outside: let a csv's file names lead out of that folder.
        batch_size: pictures that the network takes at once.
        device: `cpu`, `cuda`, `cuda:1`, `mps`; `auto`: an accelerator where there is one.
        threshold: for all labels, in place of those in the checkpoint.
        flip: also predict the mirrored pictures, and average.
        scales: predict at these multiples of the model's size, and average.
        progress: show a bar.
        allow_pixels: a picture with more is not read, as few bytes may ask for gigabytes; each megapixel takes 20 MB.
    """
    if batch_size < 1:
        raise ConfigError(f"--batch_size is {batch_size}; it must be at least 1.")
    check_suffix(Path(output))
    if annotate is not None:
        check_folder(Path(annotate))
    found = find_pictures(paths, images, allow_outside)
    predictor = load(checkpoint, device, threshold=threshold, flip=flip, scales=scales, allow_pixels=allow_pixels)
    rows = []
    with tqdm(total=len(found), desc="predicting", unit="", leave=False, disable=not progress) as bar:
        for some in _predicted(predictor, found, batch_size):
            rows += some
            if annotate is not None:
                annotate_pictures(some, Path(annotate), allow_pixels)
            bar.update(len(some))
    write_rows(Path(output), rows, predictor.names)
    bad = [row for row in rows if row.error is not None]
    print(f"predictions      {output}  ({len(rows) - len(bad):,} pictures)")
    if annotate is not None:
        print(f"annotated        {annotate}")
    for row in bad[:_BAD_LISTED]:
        print(f"not predicted    {row.error}")
    if len(bad) > _BAD_LISTED:
        print(f"not predicted    and {len(bad) - _BAD_LISTED:,} more; see the column 'error'")
    return 1 if bad else 0


class _Seen(NamedTuple):
    """A picture on its way to the network, or why it is not."""

    views: list[Tensor]
    size: Size
    error: str | None


def _predicted(predictor: Predictor, found: Sequence[Found], batch_size: int) -> Iterator[list[Row]]:
    """Yield rows batch by batch; the next batch is read while the network has this one."""
    with ThreadPoolExecutor(usable_cores()) as pool:
        reading: list[Future[_Seen]] = []
        for begin in range(0, len(found) + batch_size, batch_size):
            ahead = [pool.submit(_see, predictor, one.path) for one in found[begin : begin + batch_size]]
            if reading:
                yield _rows(predictor, found[begin - batch_size : begin], [future.result() for future in reading])
            reading = ahead


def _see(predictor: Predictor, path: Path) -> _Seen:
    try:
        picture = read_image(path, predictor.allow_pixels)
        return _Seen(predictor.see(picture), (picture.shape[0], picture.shape[1]), None)
    except ImageError as error:
        return _Seen([], (0, 0), str(error))


def _rows(predictor: Predictor, found: Sequence[Found], seen: Sequence[_Seen]) -> list[Row]:
    good = [one for one in seen if one.error is None]
    predictions = predictor.say([one.views for one in good], [one.size for one in good]) if good else []
    said: Iterator[Prediction] = iter(predictions)
    return [
        Row(one.path, one.name, what.size, next(said) if what.error is None else None, what.error)
        for one, what in zip(found, seen, strict=True)
    ]
