"""CVAT for images 1.1: one XML file of all images, their tags, shapes and skeletons.

Positions are pixels as CVAT writes them, from the upper left corner of the image; of a turned box or ellipse the
upright box around it is kept. A point is absent where it is outside, hidden where it is occluded, else seen: what
CVAT's own export to COCO keypoints makes 0, 1 and 2.
"""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from lightning_tasks.data.tables.formats.annotations import AnnotatedImage, Annotations
from lightning_tasks.data.tables.formats.cvat.attributes import Attributes
from lightning_tasks.data.tables.formats.cvat.labels import Labels
from lightning_tasks.data.tables.formats.cvat.points import PointNames, PointsOfImage, Shape, plain_names
from lightning_tasks.data.tables.formats.cvat.shapes import LEFT_OUT, SHAPES, box_of
from lightning_tasks.data.tables.formats.image_names import plain_name, split_of_folder
from lightning_tasks.data.tables.formats.images import images_of
from lightning_tasks.data.tables.formats.reader import Reader, ReadOptions
from lightning_tasks.data.tables.formats.source import Source
from lightning_tasks.data.tables.formats.stated_sizes import stated_size
from lightning_tasks.data.tables.formats.xml_lines import Element, place, read_children, root_tag
from lightning_tasks.errors import TableError

_MARKS = ("<meta>", "<image ", "<track ")  # what stands in the head of any such file
_READ = ("tag", "skeleton", "points", *SHAPES)


class Cvat(Reader):
    """XML of `<annotations>`."""

    name = "cvat"
    about = "CVAT's XML, of all images"

    def recognises(self, source: Source) -> bool:
        """Return whether an XML file is CVAT's."""
        return bool(_files(source))

    def read(self, source: Source, options: ReadOptions) -> Annotations:
        """Return tags as labels and numbers of images, shapes as objects, skeletons and points as objects' points."""
        files = _files(source)
        if not files:
            raise TableError(f"{source.path}: there is no XML of CVAT. Export it as 'CVAT for images 1.1'.")
        content = _Content()
        for path in files:
            content.read(path)
        images = images_of(source, [image.name for image in content.images], options.images)
        point_names = content.points.all()
        annotations = Annotations([], images.folder, "", plain_names(point_names), content.labels.vocab())
        annotations.left_out += content.left_out
        seen: dict[str, str] = {}
        for image, values in zip(content.images, content.attributes.fill(annotations), strict=True):
            name = images.find_first(_places(image, source.folder)) or image.name
            if name in seen:
                raise TableError(f"{image.where}: the image {name} is in {seen[name]} already. Remove one of them.")
            seen[name] = image.where
            objects = [shape.laid_out(point_names) for shape in image.objects]
            split = split_of_folder(image.subset)
            one = AnnotatedImage(name, image.where, image.tags, (), objects, values, split, size_px=image.size_px)
            annotations.images.append(one)
        n = sum(len(image.objects) for image in annotations.images)
        of_files = f", {len(files):,} files" if len(files) > 1 else ""
        annotations.found = f"CVAT's XML{of_files}: {len(annotations.images):,} images, {n:,} objects"
        return annotations


def _files(source: Source) -> list[Path]:
    heads = ((path, source.head(path)) for path in source.with_ending(".xml"))
    return [path for path, head in heads if root_tag(head) == "annotations" and any(mark in head for mark in _MARKS)]


class _Image(NamedTuple):
    name: str
    subset: str
    file: Path
    where: str
    size_px: tuple[float, float] | None
    tags: list[str]
    objects: list[Shape]


def _places(image: _Image, folder: Path) -> list[str]:
    """Return where an image may lie: in an export with images, in `images` and the folder of its subset."""
    inside = [f"images/{image.subset}/", "images/", f"{image.subset}/", ""] if image.subset else ["images/", ""]
    beside = image.file.parent.relative_to(folder)
    return [(beside / f"{above}{image.name}").as_posix() for above in inside]


class _Content:
    """What the files say."""

    def __init__(self) -> None:
        self.images: list[_Image] = []
        self.labels = Labels()
        self.points = PointNames(self.labels)
        self.attributes = Attributes()
        self.left_out: Counter[str] = Counter()

    def read(self, path: Path) -> None:
        """Add what a file says; raises TableError."""
        for element in read_children(path, "annotations"):
            if element.tag == "track":
                raise TableError(f"{place(path, element)}: a track of a video. Export it as 'CVAT for images 1.1'.")
            if element.tag == "meta":
                self.labels.read(path, element)
                self.attributes.declare(element)
            elif element.tag == "image":
                self._read_image(path, element)

    def _read_image(self, path: Path, element: Element) -> None:
        name, subset = (element.attributes.get(key, "") for key in ("name", "subset"))
        if not name:
            raise TableError(f"{place(path, element)}: the image has no name. Export it again.")
        tags: list[str] = []
        objects = PointsOfImage(path, self.points)
        self.attributes.next_image()
        for child in element.children:
            if child.tag not in _READ:
                self.left_out[f"elements <{child.tag}>"] += 1
                continue
            label = self.labels.require(path, child)
            if child.tag == "tag":
                tags += [label] if self.attributes.read_tag(path, child, label) else []
                continue
            for shape in (child, *child.find_all("points")):
                self.attributes.count(shape)
            if child.tag == "skeleton":
                objects.add_skeleton(child, label)
            elif child.tag == "points":
                objects.add_points(child, label)
            else:
                objects.add_box(child, label, box_of(path, child))
                if child.tag in LEFT_OUT:
                    self.left_out[LEFT_OUT[child.tag]] += 1
        where = place(path, element)
        size = stated_size(element.attributes.get("width"), element.attributes.get("height"))
        self.images.append(_Image(plain_name(name), subset, path, where, size, tags, objects.objects()))
