"""The table of our own that is written from anybody's annotations."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from lightning_tasks.data.tables.formats.annotations import AnnotatedImage, AnnotatedObject, Annotations
from lightning_tasks.errors import TableError

Instances = Literal["one", "largest"]


@dataclass
class TableDraft:
    """A table before it is written."""

    header: list[str]
    rows: Iterable[Sequence[Any]]
    label_separator: str = "auto"  # what a config is to say of it; see `MultiLabelDataModule`
    vocab: list[str] | None = None  # likewise
    notes: list[str] = field(default_factory=list)  # lines for a person


def with_row_columns(
    annotations: Annotations, header: Sequence[str], cells: Callable[[AnnotatedImage], Sequence[Any]]
) -> TableDraft:
    """Return a table with a row for each image: its file, where it is known its split and its group, then `cells`.

    Images without a split, where others have one, are on no side, and are left out. That all are for validation, or for
    testing, is left out too: nothing could be trained on.
    """
    images = annotations.images
    if any(image.split for image in images):
        kept = [image for image in images if image.split]
        if len(kept) < len(images):
            annotations.left_out["images of no split, where others have one"] += len(images) - len(kept)
        images = kept
    of_row = [name for name in ("group", "split") if any(getattr(image, name) for image in images)]
    notes = []
    if len(splits := {image.split for image in images}) == 1 and "split" in of_row and "train" not in splits:
        of_row.remove("split")
        notes.append(f"all images are of one split, {splits.pop()}: the table leaves it out")
    rows = ([image.name, *(getattr(image, name) for name in of_row), *cells(image)] for image in images)
    return TableDraft(["fname", *of_row, *header], rows, notes=notes)


def one_object_each(annotations: Annotations, instances: Instances) -> dict[int, AnnotatedObject]:
    """Return the one object with points of each image that has any, by the image's position; count those left out.

    An object of which every point is absent has none.

    Raises:
        TableError: `instances` is `one`, and an image has several; names the first one and says how many there are.
    """
    images = annotations.images
    found: dict[int, list[AnnotatedObject]] = {}
    n_crowds = 0
    for i, image in enumerate(images):
        with_points = [thing for thing in image.objects if any(thing.points[2::3])]
        objects = [thing for thing in with_points if not thing.is_crowd]
        n_crowds += len(with_points) - len(objects)
        if objects:
            found[i] = objects
    several = [i for i, objects in found.items() if len(objects) > 1]
    if several and instances == "one":
        first = images[several[0]]
        where = f"{first.where}: " * bool(first.where)
        raise TableError(
            f"{where}{first.name} holds {len(found[several[0]])} objects with points, and {len(several):,} of "
            f"{len(images):,} images hold several; a row has one. --instances largest takes the largest of each."
        )
    annotations.left_out["crowds with points"] += n_crowds
    annotations.left_out["objects with points beside the largest"] += sum(map(len, found.values())) - len(found)
    return {i: max(objects, key=_area_px2) for i, objects in found.items()}


def _area_px2(thing: AnnotatedObject) -> float:
    """Return the area of an object: of its mask, else of its box, else of what its points span."""
    if thing.area_px2:
        return thing.area_px2
    if thing.box is not None:
        return thing.box.area_px2
    shown = [(x, y) for x, y, visibility in zip(*[iter(thing.points)] * 3, strict=True) if visibility]
    if not shown:
        return 0.0
    return float(np.prod(np.ptp(shown, axis=0)))
