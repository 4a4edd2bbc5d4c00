"""The files about annotations that are probably wrong: a table, a page, and annotations to correct."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lightning_tasks.csv_text import write_csv
from lightning_tasks.data.images.decode import Size, read_reduced
from lightning_tasks.deploy.annotation_files.formats import Format, open_file
from lightning_tasks.deploy.sources import Found
from lightning_tasks.errors import ImageError
from lightning_tasks.reports.gallery import THUMBNAIL_PX, as_data_uri
from lightning_tasks.reports.page import write_page
from lightning_tasks.reports.suspects import SuspectCard, draw_marks, suspects_page
from lightning_tasks.tasks.prediction import OutputFormat
from lightning_tasks.tasks.split_predictions import SplitPredictions
from lightning_tasks.tasks.suspects import Suspect

_COLUMNS = ("rank", "fname", "row", "what", "kind", "given", "predicted", "score", "reason")


class TableRow(NamedTuple):
    """Where an image stands in the user's table."""

    fname: str
    number: int  # as a person counts them


class Shown(NamedTuple):
    """An image of the page: a data URI, and the size of the file; empty and (0, 0) where it cannot be read."""

    uri: str
    size: Size


def by_image(suspects: Sequence[Suspect]) -> dict[int, list[tuple[int, Suspect]]]:
    """Return ranks and suspects by the row of their image, in the order of the first of each."""
    images: dict[int, list[tuple[int, Suspect]]] = {}
    for rank, suspect in enumerate(suspects, 1):
        images.setdefault(suspect.row, []).append((rank, suspect))
    return images


def write_table(path: Path, suspects: Sequence[Suspect], table: Sequence[TableRow], *, excel: bool) -> None:
    """Write a csv with a row for each suspect, by rank; `table`: of the N images of the predictions."""
    rows = [
        [f"{rank}", table[s.row].fname, f"{table[s.row].number}", s.what, s.kind, s.given, s.predicted,
         f"{s.score:.6g}", s.reason]
        for rank, s in enumerate(suspects, 1)
    ]  # fmt: skip
    write_csv(path, [_COLUMNS, *rows], excel=excel)


def read_images(found: SplitPredictions, suspects: Sequence[Suspect]) -> dict[int, Shown]:
    """Return small images of the suspects by their rows."""
    shown = {}
    for row in by_image(suspects):
        shown[row] = Shown("", (0, 0))
        with contextlib.suppress(ImageError):
            decoded = read_reduced(found.paths[row], THUMBNAIL_PX, white_level=found.white_level)
            shown[row] = Shown(as_data_uri(decoded.image), decoded.original_size)
    return shown


def write_suspects_page(
    path: Path,
    name: str,
    found: SplitPredictions,
    suspects: Sequence[Suspect],
    table: Sequence[TableRow],
    shown: dict[int, Shown],
    num_suspects: int,
) -> None:
    """Write the page of a model's name about the suspects that are listed, of `num_suspects` in all."""
    cards = []
    for row, ranked in by_image(suspects).items():
        height, width = shown[row].size
        places = [(s.given_place, s.suggested_place) for _, s in ranked]
        pairs = [(given, suggested) for given, suggested in places if given is not None and suggested is not None]
        marks = draw_marks(pairs, max(width, height))
        doubts: dict[str, int] = {}  # two points in each other's place have one in common
        for rank, s in ranked:
            doubts.setdefault(s.reason, rank)
        where = (found.paths[row], table[row].fname, table[row].number, shown[row].uri, width, height)
        cards.append(SuspectCard(*where, [(rank, reason) for reason, rank in doubts.items()], marks))
    write_page(path, suspects_page(name, cards, len(suspects), num_suspects))


def write_annotations(
    path: Path,
    format: Format,
    prefix: str,
    name: str,
    output_format: OutputFormat[Any],
    found: SplitPredictions,
    suspects: Sequence[Suspect],
    table: Sequence[TableRow],
    shown: dict[int, Shown],
) -> list[str]:
    """Write what the suspects' images have, with what the model says in place of the suspicious cells.

    Return what the user should know of it.
    """
    images = {row: ranked for row, ranked in by_image(suspects).items() if shown[row].uri}
    files = [Found(found.paths[row], Path(table[row].fname)) for row in images]
    with contextlib.closing(open_file(path, format, output_format, files, name, prefix)) as file:
        file.add_annotations(
            (found.corrected(row, [suspect for _, suspect in ranked]), shown[row].size)
            for row, ranked in images.items()
        )
        file.write()
        return [f"{what:<17}{line}" for what, lines in file.remarks().items() for line in lines]
