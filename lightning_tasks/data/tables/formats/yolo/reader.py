"""YOLO's label files, a text file for each image: boxes, YOLO-pose's points, and outlines, of which the box is kept.

An image without a label file, or with an empty one, has no object. Relative positions are multiplied by the width and
the height of the upright image, from its header, as Ultralytics does.
"""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from lightning_tasks.data.images.decode import Size, file_size_px
from lightning_tasks.data.tables.formats.annotations import AnnotatedImage, AnnotatedObject, Annotations, Box
from lightning_tasks.data.tables.formats.reader import Reader, ReadOptions
from lightning_tasks.data.tables.formats.source import Source
from lightning_tasks.data.tables.formats.yolo.files import Listed, label_files, listed_images
from lightning_tasks.data.tables.formats.yolo.layout import Layout, describes, find_layout
from lightning_tasks.data.tables.formats.yolo.points import point_layout, point_names, swap_pairs
from lightning_tasks.data.tables.formats.yolo.rows import AT_ZERO, Labels, Row, RowReader, looks_like_rows
from lightning_tasks.errors import TableError

_LOOKED_AT = 20  # label files
_TURNED = 9  # numbers of a box that is turned: its class and four corners
_THREADS = 8  # headers of images wait for the disk


class Yolo(Reader):
    """Text files of `class cx cy w h`."""

    name = "yolo"
    about = "YOLO's label files, for boxes, points or outlines"

    def recognises(self, source: Source) -> bool:
        """Return whether a file describes a YOLO data set, or the text files beside images are its labels."""
        if describes(source):
            return True
        if not source.is_folder:
            return False
        stems = {path.stem for path in source.images}
        files = label_files(source)
        of_images = [path for path in files if path.stem in stems]
        heads = (source.head(path) for path in (of_images or files)[:_LOOKED_AT])
        filled = [head for head in heads if head.strip()]
        return bool(filled) and all(map(looks_like_rows, filled))

    def read(self, source: Source, options: ReadOptions) -> Annotations:
        """Return each image with its objects."""
        layout = find_layout(source)
        tree = source if source.is_folder else Source(source.folder)
        listed = listed_images(tree, layout, options.images)
        points = point_layout(layout)
        names, note = ((), "") if points is None else point_names(layout, points[0])
        reader = RowReader(layout.names, points)
        annotations = Annotations(
            *([], listed.folder, "", names, tuple(layout.names[i] for i in sorted(layout.names))),
            swap_pairs=swap_pairs(layout, names) if points else None,
            left_out=listed.left_out,
            notes=[*listed.notes, *[note] * bool(note)],
        )
        widths: set[int] = set()
        with ThreadPoolExecutor(_THREADS) as threads:
            read = threads.map(lambda image: _read(image, listed.labels.get(image), reader), listed.splits)
            for image, found in zip(listed.splits, read, strict=True):
                annotations.images.append(_image(image, found, listed, layout))
                annotations.left_out += found.labels.left_out
                widths |= found.labels.widths
        _tell(annotations, layout, widths)
        return annotations


class _Read(NamedTuple):
    labels: Labels
    size: Size | None  # None: it was not needed


def _read(image: Path, label_file: Path | None, reader: RowReader) -> _Read:
    labels = Labels([], Counter(), set()) if label_file is None else reader.read(label_file)
    if not labels.rows:
        return _Read(labels, None)
    size = file_size_px(image)
    if size is None:
        raise TableError(f"{image}: its size cannot be read, and {label_file} is relative to it. Replace the image.")
    return _Read(labels, size)


def _image(image: Path, found: _Read, listed: Listed, layout: Layout) -> AnnotatedImage:
    objects = [] if found.size is None else [_object(row, found.size, layout) for row in found.labels.rows]
    where = str(listed.labels.get(image, image))
    return AnnotatedImage(listed.name_of(image), where, objects=objects, split=listed.splits[image])


def _object(row: Row, size: Size, layout: Layout) -> AnnotatedObject:
    height, width = size
    x0, y0, x1, y1 = row.box
    scales = (width, height, 1) * (len(row.points) // 3)
    points = tuple(number * scale for number, scale in zip(row.points, scales, strict=True))
    label = layout.names.get(row.class_id, str(row.class_id))
    return AnnotatedObject(label, Box(x0 * width, y0 * height, x1 * width, y1 * height), points)


def _tell(annotations: Annotations, layout: Layout, widths: set[int]) -> None:
    n = sum(len(image.objects) for image in annotations.images)
    without = sum(not image.objects for image in annotations.images)
    annotations.found = (
        f"YOLO's labels, {len(annotations.images):,} images ({without:,} without an object): {n:,} objects"
    )
    if zeros := annotations.left_out.pop(AT_ZERO, 0):
        annotations.notes.append(f"{zeros:,} {AT_ZERO}")
    if twice := [name for name, times in Counter(layout.names.values()).items() if times > 1]:
        annotations.notes.append(f"several classes are called {', '.join(twice)}, which is one label")
    if n and not layout.names:
        annotations.notes.append("no file says what the classes are called: their labels are 0, 1, 2 ...")
    if len(widths) == 1:
        width = widths.pop()
        annotations.notes.append(
            "outlines of 4 corners each may be turned boxes; the upright boxes around them are kept"
            if width == _TURNED
            else f"each row has {width} numbers: if these are points, kpt_shape in data.yaml must say how many"
        )
