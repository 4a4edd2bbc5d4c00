"""CelebA's own text files: how many rows, the names of the columns, and a row for each image.

`list_attr_celeba.txt` says of each attribute 1, the face has it, or -1, it has not. `list_landmarks_celeba.txt` and
`list_landmarks_align_celeba.txt` say where five points are, in pixels, as they are written. Beside them,
`list_eval_partition.txt` says which images are for training (0), validation (1) and test (2), and `identity_CelebA.txt`
who is in each, which becomes the group.
"""

from pathlib import Path

from lightning_tasks.data.tables.formats.annotations import SEEN, AnnotatedImage, AnnotatedObject, Annotations
from lightning_tasks.data.tables.formats.image_names import has_ending
from lightning_tasks.data.tables.formats.images import ImagesNear
from lightning_tasks.data.tables.formats.reader import Reader, ReadOptions
from lightning_tasks.data.tables.formats.source import Source
from lightning_tasks.data.tables.formats.text_lines import finite, read_lines
from lightning_tasks.errors import TableError
from lightning_tasks.filesystem import is_file, is_folder

_PARTITION, _IDENTITY = "list_eval_partition.txt", "identity_CelebA.txt"
_SPLITS = {"0": "train", "1": "val", "2": "test"}
_FOLDERS = ("img_align_celeba", "img_celeba")
_SWAP_PAIRS = [["lefteye", "righteye"], ["leftmouth", "rightmouth"]]
_BOX = ("x_1", "y_1", "width", "height")

Rows = dict[str, tuple[int, list[str]]]  # the line and the cells of each image


class CelebA(Reader):
    """Attributes, points, or both."""

    name = "celeba"
    about = "CelebA's list_attr_celeba.txt and list_landmarks_*.txt"

    def recognises(self, source: Source) -> bool:
        """Return whether a file begins with a count, names and an image with as many numbers; or is the partition."""
        return bool(_lists(source)) or source.path.name == _PARTITION

    def read(self, source: Source, options: ReadOptions) -> Annotations:
        """Return what the lists say; each is of the same images."""
        paths = _lists(source)
        aligned = [path for path in paths if "align" in path.name]
        in_the_wild = [path for path in paths if "landmarks" in path.name and path not in aligned]
        if aligned and in_the_wild:  # one of them is of the images that are there
            is_aligned = is_folder(source.folder / _FOLDERS[0]) or not is_folder(source.folder / _FOLDERS[1])
            paths = [path for path in paths if path not in (in_the_wild if is_aligned else aligned)]
        if not paths:
            raise TableError(f"{source.path}: it says nothing of the images' content. Name list_attr_celeba.txt.")
        tables = {path: _read_list(path) for path in paths}
        first = next(iter(tables.values()))[1]
        folder, names = ImagesNear(source.folder, options.images).locate(list(first))
        annotations = Annotations([], folder, f"CelebA, {', '.join(p.name for p in paths)}: {len(first):,} images")
        splits = _beside(paths[0].with_name(_PARTITION))
        groups = _beside(paths[0].with_name(_IDENTITY))
        said: dict[str, AnnotatedImage] = {
            name: AnnotatedImage(
                names[name],
                f"{paths[0]}: line {line}",
                split=_split(paths[0].with_name(_PARTITION), splits, name),
                group=groups[name][1][0] if name in groups else "",
            )
            for name, (line, _) in first.items()
        }
        for path, (header, rows) in tables.items():
            if rows.keys() != said.keys():
                other = min(rows.keys() ^ said.keys())
                raise TableError(f"{path}: {other} is not in both this list and {paths[0].name}. Convert each alone.")
            _add(path, header, rows, said, annotations)
        annotations.images = list(said.values())
        return annotations


def _add(path: Path, header: list[str], rows: Rows, said: dict[str, AnnotatedImage], annotations: Annotations) -> None:
    points = tuple(name[:-2] for name in header[::2])
    if tuple(header) == _BOX:
        annotations.left_out["boxes of faces"] += len(rows)
    elif header == [f"{point}_{axis}" for point in points for axis in "xy"]:
        annotations.point_names, annotations.swap_pairs = points, _SWAP_PAIRS
        for name, (line, cells) in rows.items():
            numbers = [finite(path, line, cell) for cell in cells]
            flat = [n for x, y in zip(numbers[::2], numbers[1::2], strict=True) for n in (x, y, SEEN)]
            said[name] = said[name]._replace(objects=[AnnotatedObject(points=flat)])
    else:
        annotations.vocab = tuple(header)
        for name, (line, cells) in rows.items():
            odd = next((cell for cell in cells if cell not in ("1", "-1")), None)
            if odd is not None:
                raise TableError(f"{path}: line {line}: {odd!r} is neither 1 nor -1. Write one of them.")
            labels = [label for label, cell in zip(header, cells, strict=True) if cell == "1"]
            said[name] = said[name]._replace(labels=labels)


def _lists(source: Source) -> list[Path]:
    found = []
    for path in source.with_ending(".txt"):
        if len(path.relative_to(source.folder).parts) <= 2:
            lines = [line.split() for line in source.head(path).splitlines()[:3]]
            names = lines[1] if len(lines) == 3 else []
            if len(lines) == 3 and len(lines[0]) == 1 and lines[0][0].isdigit() and has_ending(lines[2][0]):
                found += [path] if len(lines[2]) - 1 in (len(names), len(names) - 1) else []
    return found


def _read_list(path: Path) -> tuple[list[str], Rows]:
    """Return the columns, and each image's line and cells."""
    (first, count), (_, names), *lines = read_lines(path)
    header = [name for name in names.split() if name != "image_id"]
    if count != str(len(lines)):
        raise TableError(f"{path}: line {first} says {count} images, and {len(lines):,} follow. Get the file anew.")
    return header, _rows(path, lines, len(header))


def _rows(path: Path, lines: list[tuple[int, str]], n: int) -> Rows:
    rows: Rows = {}
    for number, line in lines:
        name, *cells = line.split()
        if len(cells) != n:
            raise TableError(f"{path}: line {number}: {len(cells)} cells for {n} columns. Get the file anew.")
        if name in rows:
            raise TableError(f"{path}: line {number}: {name} stands in line {rows[name][0]} already. Keep one of them.")
        rows[name] = number, cells
    return rows


def _beside(path: Path) -> Rows:
    return _rows(path, read_lines(path), 1) if is_file(path) else {}


def _split(path: Path, splits: Rows, name: str) -> str:
    if not splits:
        return ""
    if name not in splits:
        raise TableError(f"{path}: {name} is not in it. Add it, or take the file away.")
    line, (said,) = splits[name]
    if said not in _SPLITS:
        raise TableError(f"{path}: line {line}: {said!r} is none of 0, 1 and 2. Write one of them.")
    return _SPLITS[said]
