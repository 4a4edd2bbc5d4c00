"""PASCAL VOC's own tree: lists of images and XML annotations to rows.

A tree is a folder such as `VOCdevkit/VOC2007`. `ImageSets/Main/<set>.txt` names images, one a line and without a
suffix; each is `JPEGImages/<name>.jpg` with `Annotations/<name>.xml`, which lists its objects.

Source: Everingham and Winn, "The PASCAL Visual Object Classes Challenge 2007 (VOC2007) Development Kit", 2007.
"""

import difflib
import re
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from lightning_tasks.data.tables.csv_table import OnError, raise_error
from lightning_tasks.data.tables.formats.xml_lines import Element, parse_xml
from lightning_tasks.errors import DatasetNotFoundError, TableError
from lightning_tasks.filesystem import is_file, is_folder, why_missing

CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
_TREES = (".", "VOC2007", "VOCdevkit/VOC2007")  # what may be called the data set's folder
_NAME = re.compile(r"[\w.-]+")  # which cannot lead out of the tree
_ANNOTATION_LIMIT = 2**20  # bytes; VOC's largest have some 20,000
_RESTORE = "Restore it from the archive"


def find_voc(root: Path) -> Path | None:
    """Return the tree that is or lies in `root`; None where there is none."""
    trees = (root / tree for tree in _TREES)
    return next((tree for tree in trees if all(is_folder(tree / part) for part in ("Annotations", "ImageSets"))), None)


def read_voc(image_set: Path, on_error: OnError = raise_error) -> pd.DataFrame:
    """Return one row for each image of an image set, by VOC's rule for classification.

    Args:
        image_set: `ImageSets/Main/<set>.txt` in a tree. Of `trainval.txt`, `val.txt` beside it is the validation half.
        on_error: what is done about a row that cannot be used.

    Returns:
        A frame with `fname` (str, in JPEGImages), `labels` and `difficult` (tuples of str, sorted: the classes with an
        object that is not difficult, and those with difficult ones alone), and for trainval `is_valid` (bool). Row i
        of the frame is row i + 1 of the file.

    Raises:
        DatasetNotFoundError: there is no such image set.
        TableError: the image set or an annotation cannot be used.
    """
    annotations = image_set.parents[2] / "Annotations"
    names = _read_names(image_set)
    classes = []
    for row, name in enumerate(tqdm(names, desc="reading annotations", leave=False, disable=None)):
        of_image: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
        try:
            if not _NAME.fullmatch(name):
                raise TableError(f"{image_set}: row {row + 1}: {name!r} is not one image's name. Write one, as 000005.")
            of_image = read_annotation(annotations / f"{name}.xml")
        except TableError as error:
            on_error(row, error)
        classes.append((f"{name}.jpg", *of_image))
    table = pd.DataFrame(classes, columns=["fname", "labels", "difficult"])
    if image_set.name == "trainval.txt":
        table["is_valid"] = _in_validation(names, image_set)
    return table


def read_annotation(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the classes with an object that is not difficult, and those with difficult ones alone, each sorted.

    Raises:
        TableError: the file is missing, is not XML, or has an object that is none of VOC's.
    """
    classes: dict[bool, set[str]] = {False: set(), True: set()}
    # Only children of the annotation and of an object: parts (head, hand, foot) lie in their object and have names too.
    for number, element in enumerate(_parse(path).find_all("object"), start=1):
        name, difficult = (element.text_of(tag) for tag in ("name", "difficult"))
        if name not in CLASSES:
            close = difflib.get_close_matches(name, CLASSES, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise TableError(f"{path}: object {number}: {name!r} is none of VOC's {len(CLASSES)} classes.{hint}")
        if difficult not in ("", "0", "1"):  # a tree that leaves it out has no difficult objects
            raise TableError(f"{path}: object {number}: difficult is {difficult!r}. Write 0 or 1.")
        classes[difficult == "1"].add(name)
    return tuple(sorted(classes[False])), tuple(sorted(classes[True] - classes[False]))


def _parse(path: Path) -> Element:
    try:
        with path.open("rb") as file:
            content = file.read(_ANNOTATION_LIMIT + 1)
    except OSError as error:
        raise TableError(f"{path}: there is no annotation that can be read ({error.strerror}). {_RESTORE}.") from error
    if len(content) > _ANNOTATION_LIMIT:
        raise TableError(f"{path}: more than {_ANNOTATION_LIMIT:,} bytes are no annotation. {_RESTORE}.")
    try:
        root = parse_xml(content)
    except ValueError as error:
        raise TableError(f"{path}: not an annotation in XML ({error}). {_RESTORE}.") from error
    if root.tag != "annotation":
        raise TableError(f"{path}: row 1: XML of <{root.tag}>, not of <annotation>. {_RESTORE}.")
    return root


def _read_names(image_set: Path) -> list[str]:
    if not is_file(image_set):
        raise DatasetNotFoundError(
            f"There is no image set {image_set}{why_missing(image_set)}. "
            "VOC's archives for training and for testing hold their own: unpack the one that is missing into the same "
            "folder."
        )
    try:
        return [line.strip() for line in image_set.read_text(encoding="utf-8-sig").rstrip().split("\n")]
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(f"{image_set}: cannot be read as text ({error}). {_RESTORE}.") from error


def _in_validation(names: list[str], image_set: Path) -> list[bool]:
    validation = image_set.with_name("val.txt")
    valid, known = _read_names(validation), set(names)
    for row, name in enumerate(valid):
        if name not in known:
            raise TableError(f"{validation}: row {row + 1}: {name!r} is not in {image_set.name}. Restore both.")
    held_out = set(valid)
    return [name in held_out for name in names]
