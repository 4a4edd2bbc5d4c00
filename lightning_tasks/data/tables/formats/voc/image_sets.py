"""VOC's image sets: lists of images, `ImageSets/Main/train.txt` and its like, an image a line and without a suffix."""

from collections.abc import Collection
from pathlib import Path, PurePosixPath

from lightning_tasks.data.tables.formats.image_names import has_ending, plain_name
from lightning_tasks.data.tables.formats.source import Source
from lightning_tasks.data.tables.formats.text_lines import utf8_lines
from lightning_tasks.errors import TableError
from lightning_tasks.filesystem import is_file

_MAIN = ("ImageSets", "Main")
_BOTH, _HALVES = "trainval", ("train", "val")  # the one holds the others
_SETS = {"train": "train", "val": "val", "test": "test", _BOTH: "train"}  # the last one for what is in no other


def read_image_sets(source: Source, stems: Collection[str]) -> dict[str, str] | None:
    """Return the split of each image that a list names, by its annotation's stem; None: there are no lists.

    Args:
        source: the data set's folder, or that of its annotations.
        stems: of all annotations.

    Raises:
        TableError: a list cannot be read, or names an image twice, one without an annotation, or one that is in
            another list; names the line.
    """
    splits: dict[str, str] = {}
    lists: dict[str, Path] = {}
    for main in _folders_of_lists(source):
        for name, split in _SETS.items():
            path = main / f"{name}.txt"
            for line, stem in _names(path) if is_file(path) else ():
                if stem not in stems:
                    what = f"there is no annotation {stem}.xml"
                    raise TableError(f"{path}: line {line}: {what}. Restore it, or take the line out.")
                if lists.get(stem) == path or (stem in splits and not (name == _BOTH and splits[stem] in _HALVES)):
                    raise TableError(f"{path}: line {line}: {stem} is in {lists[stem].name} already. Take one out.")
                splits.setdefault(stem, split)
                lists[stem] = path
    return splits or None


def _folders_of_lists(source: Source) -> list[Path]:
    if source.path.name == "Annotations":
        return [source.path.parent / "ImageSets" / "Main"]
    return list(dict.fromkeys(file.parent for file in source.with_ending(".txt") if file.parts[-3:-1] == _MAIN))


def _names(path: Path) -> list[tuple[int, str]]:
    lines = utf8_lines(path, "Restore it.")
    names = ((number, plain_name(line.strip())) for number, line in enumerate(lines, 1) if line.strip())
    return [
        (number, PurePosixPath(name).stem if has_ending(name) else name.rpartition("/")[2]) for number, name in names
    ]
