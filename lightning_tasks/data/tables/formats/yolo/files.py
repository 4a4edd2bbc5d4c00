"""Which images a YOLO data set has, and the label file of each."""

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from lightning_tasks.data.tables.formats.image_names import split_of_folder
from lightning_tasks.data.tables.formats.source import Source
from lightning_tasks.data.tables.formats.yolo.layout import NAMES_FILES, Layout
from lightning_tasks.data.tables.formats.yolo.rows import looks_like_rows
from lightning_tasks.data.tables.formats.yolo.splits import images_of_splits
from lightning_tasks.errors import TableError
from lightning_tasks.filesystem import is_folder

_LISTS = frozenset(("train.txt", "val.txt", "valid.txt", "test.txt", "trainval.txt", "autosplit_train.txt"))


@dataclass
class Listed:
    """The images, by their absolute paths."""

    folder: Path  # that names start from
    splits: dict[Path, str]
    labels: dict[Path, Path] = field(default_factory=dict)  # of those that have a label file
    left_out: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def name_of(self, image: Path) -> str:
        """Return an image's name, seen from the folder."""
        return Path(os.path.relpath(image, self.folder.absolute())).as_posix()


def label_files(source: Source) -> list[Path]:
    """Return the text files that may be label files: not the lists of classes and of images."""
    others = _LISTS | NAMES_FILES
    return [  # an image may be called test.jpg
        path
        for path in source.with_ending(".txt")
        if path.name.lower() not in others or looks_like_rows(source.head(path))
    ]


def listed_images(tree: Source, layout: Layout, given: Path | None) -> Listed:
    """Return the images, of the splits where there are such, else all, and their label files.

    Args:
        tree: the data set's folder.
        layout: what its files say.
        given: the folder of the images that the user names.

    Raises:
        TableError: there are none, one is in two splits, or no label file belongs to any.
    """
    of_splits, notes = images_of_splits(layout, given)
    all_images = [_absolute(path) for path in _images(tree, given)]
    if of_splits:
        splits = _split_of_each(of_splits, notes)
    else:
        base = _absolute(tree.path if given is None else given)
        splits = {path: _split_in(Path(os.path.relpath(path, base))) for path in all_images}
    if not splits:
        raise TableError(f"{tree.path}: no images beside the labels. Name their folder with --images.")
    listed = Listed(_folder(tree.path if given is None else given, splits), splits, notes=notes)
    if of_splits:
        listed.left_out["images in none of the splits"] += len(set(all_images) - set(splits))
    _pair(listed, {_absolute(path): path for path in label_files(tree)}, tree)
    return listed


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - without `..`, and links as they are


def _images(tree: Source, given: Path | None) -> list[Path]:
    """Return the images below the folder that is given, or the data set's, or the one that goes with its labels."""
    if given is not None:
        return Source(given).images
    beside = _swapped(_absolute(tree.path), "labels", "images")
    return tree.images or (Source(beside).images if beside and is_folder(beside) else [])


def _swapped(path: Path, old: str, new: str) -> Path | None:
    """Return the path with its last folder of a name called otherwise; None: it has no such folder."""
    at = next((i for i in reversed(range(len(path.parts))) if path.parts[i].lower() == old), None)
    return None if at is None else Path(*path.parts[:at], new, *path.parts[at + 1 :])


def _split_in(name: Path) -> str:
    return next((split for part in name.parts[:-1] if (split := split_of_folder(part))), "")


def _split_of_each(of_splits: dict[str, list[Path]], notes: list[str]) -> dict[Path, str]:
    sets = {split: dict.fromkeys(map(_absolute, paths)) for split, paths in of_splits.items() if paths}
    if len(sets) > 1 and len({frozenset(paths) for paths in sets.values()}) == 1:
        notes.append(f"{' and '.join(sets)} are the same images: which are for validation is not said")
        return dict.fromkeys(next(iter(sets.values())), "")
    splits: dict[Path, str] = {}
    for split, paths in sets.items():
        for path in paths:
            if path in splits:
                raise TableError(f"{path}: the image is in {splits[path]} and in {split}. Keep it in one of them.")
            splits[path] = split
    return splits


def _folder(folder: Path, images: dict[Path, str]) -> Path:
    """Return the folder that images' names start from: the one named, or the one that all lie in."""
    own = _absolute(folder)
    if all(path.is_relative_to(own) for path in images):
        return folder
    return Path(os.path.commonpath([path.parent for path in images]))


def _pair(listed: Listed, files: dict[Path, Path], tree: Source) -> None:
    """Find the label file of each image: in `labels` for `images`, or beside it; else the only one of its name."""
    unclaimed = dict(files)
    without = []
    for image in listed.splits:
        swapped = _swapped(image.parent, "images", "labels")
        places = [folder / f"{image.stem}.txt" for folder in (swapped, image.parent) if folder is not None]
        if place := next((place for place in places if place in files), None):
            listed.labels[image] = files[place]
            unclaimed.pop(place, None)
        else:
            without.append(image)
    by_stem: dict[str, list[Path]] = {}
    for path in unclaimed:
        by_stem.setdefault(path.stem, []).append(path)
    images = Counter(image.stem for image in without)
    for image in without:
        found = by_stem.get(image.stem, [])
        if len(found) == 1 and images[image.stem] == 1:
            listed.labels[image] = unclaimed.pop(found[0])
    lost = [path for path in unclaimed.values() if looks_like_rows(tree.head(path))]
    if lost and not listed.labels:
        raise TableError(
            f"{lost[0]}: no image is called {lost[0].stem}, and so for each of the {len(lost):,} label files. "
            "Name the images' folder with --images."
        )
    listed.left_out["label files without an image"] += len(lost)
