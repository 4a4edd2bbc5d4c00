"""PASCAL VOC's XML, an annotation for each image, with anybody's classes: as LabelImg, Roboflow and CVAT write it.

In VOC's own layout (`Annotations`, `JPEGImages`, `ImageSets/Main`) or beside the images. A box is what VOC's kit says:
pixels are counted from 1 and its last ones belong to it, so xmin 1 to xmax W covers an image W wide; here that is
x0 = xmin − 1, x1 = xmax, as in detectron2. Tools that count from 0 write the same, so their boxes are a pixel off.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from lightning_tasks.data.tables.formats.annotations import AnnotatedImage, AnnotatedObject, Annotations, Box
from lightning_tasks.data.tables.formats.image_names import has_ending, plain_name, split_of_folder
from lightning_tasks.data.tables.formats.images import Images, images_of
from lightning_tasks.data.tables.formats.reader import Reader, ReadOptions
from lightning_tasks.data.tables.formats.source import Source
from lightning_tasks.data.tables.formats.voc.image_sets import read_image_sets
from lightning_tasks.data.tables.formats.xml_lines import Element, number, place, read_children, root_tag
from lightning_tasks.errors import TableError

_LOOKED_AT = 10  # files
_FOLDERS = {"Annotations": ("JPEGImages", "images", "Images"), "annotations": ("images",), "labels": ("images",)}
_SIDES = ("xmin", "ymin", "xmax", "ymax")
_UNREAD = {"part": "body parts", "polygon": "polygons", "keypoints": "objects' points", "point": "objects' points"}


class Voc(Reader):
    """XML of `<annotation>`."""

    name = "voc"
    about = "PASCAL VOC's XML, an annotation for each image"

    def recognises(self, source: Source) -> bool:
        """Return whether the XML files are annotations."""
        heads = [source.head(path) for path in _xml_files(source)[:_LOOKED_AT]]
        return bool(heads) and all(root_tag(head) == "annotation" for head in heads)

    def read(self, source: Source, options: ReadOptions) -> Annotations:
        """Return boxes and labels of objects; a label that only difficult objects of an image have is not known.

        Of which image an annotation is, its own name decides, as VOC pairs them; where no image is called so, what
        stands in `filename`.
        """
        left_out: Counter[str] = Counter()
        read = [_read_file(path, left_out) for path in _xml_files(source)]
        called = [name if has_ending(name) else f"{path.stem}.jpg" for path, name, *_ in read]
        images = images_of(source, called, options.images)
        annotations = Annotations([], images.folder, "", left_out=left_out)
        sets = read_image_sets(source, {path.stem for path, *_ in read})
        names: dict[str, Path] = {}
        for path, file_name, objects, unknown in read:
            below = PurePosixPath(path.relative_to(source.folder).as_posix())
            name = _image_of(below, file_name, images)
            if name in names:
                raise TableError(f"{path}: its image {name} is that of {names[name]}, too. Remove one of them.")
            names[name] = path
            split = _split_of(below) if sets is None else sets.get(path.stem, "")
            annotations.images.append(AnnotatedImage(name, str(path), (), unknown, objects, split=split))
        folders = {PurePosixPath(name).parent for name in names}
        others = (PurePosixPath(path.relative_to(images.folder).as_posix()) for path in images.paths)
        left_out["images without an annotation"] += sum(
            path.parent in folders and str(path) not in names for path in others
        )
        n = sum(len(image.objects) for image in annotations.images)
        annotations.found = f"VOC's XML, {len(read):,} images: {n:,} objects"
        if difficult := sum(not thing.label for image in annotations.images for thing in image.objects):
            what = f"{difficult:,} objects are difficult; what only they are in an image is not known of it"
            annotations.notes.append(what)
        return annotations


def _xml_files(source: Source) -> list[Path]:
    """Return the annotations: the files in folders of that name where there are such, else all XML."""
    files = source.with_ending(".xml")
    return [path for path in files if "Annotations" in path.relative_to(source.folder).parts[:-1]] or files


_Read = tuple[Path, str, list[AnnotatedObject], list[str]]  # file, name of the image, objects, unknown labels


def _read_file(path: Path, left_out: Counter[str]) -> _Read:
    file_name, objects = "", []
    classes: dict[bool, dict[str, None]] = {False: {}, True: {}}
    for element in read_children(path, "annotation"):
        if element.tag == "filename":
            file_name = plain_name(element.text.strip())
        elif element.tag == "imagesize":
            what = "XML of MIT's LabelMe, not of PASCAL VOC. Export it as 'PASCAL VOC' or 'CVAT for images'"
            raise TableError(f"{place(path, element)}: {what}.")
        elif element.tag == "object":
            label, is_difficult = _label_of(path, element)
            classes[is_difficult][label] = None
            # A difficult object keeps its box; its label would say that the image has it.
            objects.append(AnnotatedObject("" if is_difficult else label, _box_of(path, element)))
            for tag, what in _UNREAD.items():
                left_out[what] += len(element.find_all(tag))
    return path, file_name, objects, [label for label in classes[True] if label not in classes[False]]


def _label_of(path: Path, element: Element) -> tuple[str, bool]:
    """Return what an object is called, and whether it is difficult."""
    label, difficult = element.text_of("name"), element.text_of("difficult").lower()
    if not label:
        raise TableError(f"{place(path, element)}: the object has no <name>. Write what it is, or remove it.")
    if difficult not in ("", "0", "1", "unspecified", "false", "true"):
        raise TableError(f"{place(path, element)}: difficult is {difficult!r}. Write 0 or 1.")
    return label, difficult in ("1", "true")


def _box_of(path: Path, element: Element) -> Box | None:
    box = element.find("bndbox")
    if box is None:
        return None
    sides = {side: child for side in _SIDES if (child := box.find(side)) is not None}
    missing = next((side for side in _SIDES if side not in sides), None)
    if missing:
        raise TableError(f"{place(path, box)}: the box has no <{missing}>. Add it, or export it again.")
    xmin, ymin, xmax, ymax = (number(path, sides[side], "it", sides[side].text) for side in _SIDES)
    if xmin > xmax or ymin > ymax:
        where = f"{place(path, box)}: the box goes from ({xmin:g}, {ymin:g}) to ({xmax:g}, {ymax:g})"
        raise TableError(f"{where}: xmax and ymax are the larger ones. Correct it, or export it again.")
    return Box(xmin - 1, ymin - 1, xmax, ymax)


def _image_of(below: PurePosixPath, file_name: str, images: Images) -> str:
    """Return the image of an annotation `below` the data set's folder; where none is found, how it should be called."""
    own = list(_own_places(below.with_suffix("")))
    found = next((image for stem in own if (image := images.of_stem(str(stem)))), None) or images.find_first(
        [own[-1].name]
    )
    if found is None and file_name:
        found = images.find_first([*(str(stem.parent / file_name) for stem in own), file_name])
    if found is not None:
        return found
    return file_name if has_ending(file_name) else f"{below.stem}.jpg"


def _own_places(stem: PurePosixPath) -> Iterator[PurePosixPath]:
    """Yield where an annotation's image may lie: beside it, and in the folders that go with its own."""
    yield stem
    for at, part in enumerate(stem.parts[:-1]):
        for folder in _FOLDERS.get(part, ()):
            yield PurePosixPath(*stem.parts[:at], folder, *stem.parts[at + 1 :])


def _split_of(below: PurePosixPath) -> str:
    """Return the split that one of an annotation's folders is called after; "" where none is."""
    return next((split for part in below.parts[:-1] if (split := split_of_folder(part))), "")
