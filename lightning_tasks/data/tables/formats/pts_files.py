"""300W's and iBUG's .pts files: one beside each image, with a line for each point.

They were written by Matlab, where the first pixel is 1, 1: as menpo, the tool of those who made them, does, 1 is
subtracted from each number. Points are called p00, p01, ... in their order.
"""

import re
from pathlib import Path

from lightning_tasks.data.tables.formats.annotations import SEEN, AnnotatedImage, AnnotatedObject, Annotations
from lightning_tasks.data.tables.formats.image_names import split_of_folder
from lightning_tasks.data.tables.formats.images import Images, images_folder
from lightning_tasks.data.tables.formats.reader import Reader, ReadOptions
from lightning_tasks.data.tables.formats.source import Source
from lightning_tasks.data.tables.formats.text_lines import finite, read_lines
from lightning_tasks.errors import TableError

_HEAD = re.compile(r"version\s*:\s*\d", re.IGNORECASE)
_COUNT = re.compile(r"n_points\s*:\s*(\d+)", re.IGNORECASE)
_FIRST_PIXEL = 1


class PtsFiles(Reader):
    """Points beside images."""

    name = "pts"
    about = "300W's .pts files"

    def recognises(self, source: Source) -> bool:
        """Return whether there are .pts files that begin with their version."""
        paths = source.with_ending(".pts")
        return bool(paths) and _HEAD.match(source.head(paths[0]).lstrip("\ufeff \r\n")) is not None

    def read(self, source: Source, options: ReadOptions) -> Annotations:
        """Return each file's points; images without such a file are left out."""
        paths = source.with_ending(".pts") if source.is_folder else [source.path]
        if not paths:
            raise TableError(f"{source.path}: there is no .pts file in it.")
        stems = {path: path.relative_to(source.folder).with_suffix("").as_posix() for path in paths}
        folder = options.images or (source.folder if source.is_folder else _folder_of(source, stems))
        images = Images(folder)
        names = images.find_all(stems.values())
        read = {path: read_pts(path) for path in paths}
        n = len(read[paths[0]])
        annotations = Annotations([], folder, f".pts, {len(paths):,} files of {n} points")
        annotations.point_names = tuple(f"p{i:0{len(str(n - 1))}d}" for i in range(n))
        splits = {path: _split(stem) for path, stem in stems.items()}
        for path, points in read.items():
            if len(points) != n:
                what = f"{path}: it has {len(points)} points, and {paths[0].name} has {n}"
                raise TableError(f"{what}. Convert those of each kind from a folder of their own.")
            name = names[stems[path]]
            flat = [number for x, y in points for number in (x - _FIRST_PIXEL, y - _FIRST_PIXEL, SEEN)]
            split = splits[path] if all(splits.values()) else ""
            annotations.images.append(
                AnnotatedImage(name, str(path), objects=[AnnotatedObject(points=flat)], split=split)
            )
        if source.is_folder:
            annotations.left_out["images without a .pts file"] += len(images.paths) - len(paths)
        annotations.notes.append("1 is subtracted from each position: in .pts files the first pixel is 1, 1")
        return annotations


def read_pts(path: Path) -> list[tuple[float, float]]:
    """Return the points (x, y) of a file, as they are written.

    Raises:
        TableError: a number is missing or is none, or there are more or fewer points than the file says.
    """
    lines = read_lines(path)
    said = next((int(found[1]) for _, line in lines if (found := _COUNT.match(line))), None)
    opened = next((i for i, (_, line) in enumerate(lines) if line == "{"), None)
    closed = next((i for i, (_, line) in enumerate(lines) if line == "}"), None)
    if said is None or opened is None or closed is None or closed < opened:
        raise TableError(f"{path}: a .pts file says n_points, and has its points between {{ and }}. Get it anew.")
    points = []
    for number, line in lines[opened + 1 : closed]:
        cells = line.split()
        if len(cells) != 2:
            raise TableError(f"{path}: line {number}: {len(cells)} numbers, and a point has 2. Correct it.")
        points.append((finite(path, number, cells[0]), finite(path, number, cells[1])))
    if len(points) != said or not points:
        raise TableError(f"{path}: it says {said} points, and {len(points)} follow. Get it anew.")
    return points


def _folder_of(source: Source, stems: dict[Path, str]) -> Path:
    return images_folder(source.folder, list(stems.values()), None)


def _split(stem: str) -> str:
    """Return what the folders above a file say: `train`, or 300W's `trainset`."""
    return next((split for part in stem.split("/")[:-1] if (split := split_of_folder(part))), "")
