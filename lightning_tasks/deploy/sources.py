"""What a user names on the command line to the pictures that are meant."""

from collections.abc import Sequence
from glob import glob
from pathlib import Path
from typing import NamedTuple

from lightning_tasks.data.files import Confines
from lightning_tasks.data.tables import cell_at, read_cells
from lightning_tasks.errors import DatasetNotFoundError, TableError

PICTURES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".dib", ".gif", ".webp", ".avif", ".tif", ".tiff", ".jp2", ".ppm", ".pgm")
)


class Found(NamedTuple):
    """A picture that was asked for; whether it can be read is seen later."""

    path: Path
    name: Path  # without the folder that was named: where an annotated copy goes below its own folder


def find_pictures(sources: Sequence[str], images: str | None, allow_outside: bool = False) -> list[Found]:
    """Return the pictures of files, folders (with all below them), patterns and tables, each once, in order.

    Args:
        sources: files; folders; patterns such as 'holiday/**/*.jpg'; csv files with a column `fname`.
        images: the folder that a table's file names start from; None: the table's own.
        allow_outside: let a table's names lead out of that folder.

    Raises:
        DatasetNotFoundError: a source is nothing of these, or has no pictures.
        TableError: a table has no column `fname`, or a name that leads out of its folder.
    """
    found: dict[Path, Found] = {}
    for source in sources:
        some = _of_one(source, images, allow_outside)
        if not some:
            raise DatasetNotFoundError(f"There are no pictures in {source}. Its files end in none of {_endings()}.")
        for one in some:
            found.setdefault(one.path, one)
    return list(found.values())


def _of_one(source: str, images: str | None, allow_outside: bool) -> list[Found]:
    path = Path(source)
    if path.is_dir():
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in PICTURES and p.is_file())
        return [Found(p, p.relative_to(path)) for p in inside]
    if path.suffix.lower() == ".csv" and path.is_file():
        return _of_table(path, path.parent if images is None else Path(images), allow_outside)
    if path.is_file():  # whatever it is called: if it is no picture, its row says so
        return [Found(path, Path(path.name))]
    matches = sorted(Path(match) for match in glob(source, recursive=True))  # noqa: PTH207 - absolute ones too
    if not matches:
        raise DatasetNotFoundError(f"There is no file, folder or pattern {source}. Check its name.")
    return [Found(p, Path(p.name)) for p in matches if p.suffix.lower() in PICTURES and p.is_file()]


def _of_table(path: Path, folder: Path, allow_outside: bool) -> list[Found]:
    header, *rows = read_cells(path) or [[]]
    names = [name.strip() for name in header]
    if "fname" not in names:
        raise TableError(f"{path}: row 1: no column 'fname'; it has {', '.join(map(repr, names))}. Rename one to it.")
    column = names.index("fname")
    confines = Confines(folder)
    cells = []
    for row, its_cells in enumerate(rows):
        cell = its_cells[column] if len(its_cells) > column else ""
        if cell.strip() and not allow_outside and not confines.hold(folder / cell):
            raise TableError(
                f"{cell_at(path, row, 'fname')}: {cell!r} leads out of {folder}. Name the folder that it lies in with "
                "--images; or, if you trust the table, --allow_outside true."
            )
        cells += [cell] if cell.strip() else []
    return [Found(folder / cell, Path(cell)) for cell in cells]


def _endings() -> str:
    return ", ".join(sorted(PICTURES))
