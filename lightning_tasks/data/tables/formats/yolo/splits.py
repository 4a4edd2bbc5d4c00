"""The images of each split of a YOLO data set: of a folder all that is below it, of a text file what it lists."""

from collections.abc import Iterable
from pathlib import Path

from lightning_tasks.data.tables.formats.image_names import plain_name
from lightning_tasks.data.tables.formats.source import Source
from lightning_tasks.data.tables.formats.text_lines import utf8_lines
from lightning_tasks.data.tables.formats.yolo.layout import Layout, place_of
from lightning_tasks.errors import TableError
from lightning_tasks.filesystem import is_folder


def images_of_splits(layout: Layout, given: Path | None) -> tuple[dict[str, list[Path]], list[str]]:
    """Return the images of each split, and notes of splits that are not there.

    Raises:
        TableError: a list cannot be read or names an image that is not there, or no split has anything.
    """
    found: dict[str, list[Path]] = {}
    notes: list[str] = []
    for split, places in layout.splits.items():
        for name, where in places:
            place = place_of(name, layout, given)
            if place is None:
                notes.append(f"{where}: there is no {name}")
            else:
                found.setdefault(split, []).extend(_images_at(place, layout, given))
    if layout.splits and not any(found.values()):
        raise TableError(f"{notes[0] if notes else layout.path}: no images. Name their folder with --images.")
    return found, notes


def _images_at(place: Path, layout: Layout, given: Path | None) -> Iterable[Path]:
    if is_folder(place):
        return Source(place).images
    lines = utf8_lines(place, "Restore it.")
    return [_listed(place, i, line.strip(), layout, given) for i, line in enumerate(lines, 1) if line.strip()]


def _listed(path: Path, number: int, name: str, layout: Layout, given: Path | None) -> Path:
    own = Layout(path, layout.settings)
    found = place_of(plain_name(name), own, given) or place_of(plain_name(name), layout, given)
    if found is None:
        raise TableError(f"{path}: line {number}: there is no image {name}. Name the images' folder with --images.")
    return found
