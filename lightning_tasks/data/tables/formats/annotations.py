"""What any annotation format says of images, in one form that knows neither the format nor a task.

Positions are pixels of the upright image, as the format's own tool writes them.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

ABSENT, HIDDEN, SEEN = 0.0, 1.0, 2.0  # a point's visibility, as COCO has it


class Box(NamedTuple):
    """A rectangle in pixels; the right and the lower edge lie outside."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def area_px2(self) -> float:
        """Its area."""
        return (self.x1 - self.x0) * (self.y1 - self.y0)


class AnnotatedObject(NamedTuple):
    """One thing in an image."""

    label: str = ""  # "": none is given
    box: Box | None = None
    points: Sequence[float] = ()  # x, y, visibility of each of `Annotations.point_names`, in turn; (): it has none
    area_px2: float | None = None  # of its mask; None: not given
    is_crowd: bool = False


class AnnotatedImage(NamedTuple):
    """One image, and what is said of it."""

    name: str  # of its file, seen from `Annotations.folder`
    where: str = ""  # file and row, for messages
    labels: Sequence[str] = ()  # of the image as a whole
    unknown: Sequence[str] = ()  # labels of which is not known whether the image has them
    objects: Sequence[AnnotatedObject] = ()
    values: Mapping[str, float] = {}  # numbers by name; a missing one is not known
    split: str = ""  # train, val or test; "": the format does not say
    group: str = ""  # what may not be on both sides of a split, such as a person
    size_px: tuple[float, float] | None = None  # width and height that the positions are of; None: not given


@dataclass
class Annotations:
    """What was read."""

    images: list[AnnotatedImage]
    folder: Path  # that the images' names start from
    found: str  # what it is, for a person: "COCO json, 2 files"
    point_names: tuple[str, ...] = ()
    vocab: tuple[str, ...] = ()  # labels that the format declares, in its order, whether or not one occurs
    value_names: tuple[str, ...] = ()
    swap_pairs: list[list[str]] | None = None  # points that change places in a mirrored image; None: not given
    left_out: Counter[str] = field(default_factory=Counter)  # what is not read, such as "polygons", and how many
    notes: list[str] = field(default_factory=list)  # lines for a person

    @property
    def has_image_labels(self) -> bool:
        """Whether a label, known or not, is said of an image as a whole."""
        return any(image.labels or image.unknown for image in self.images)

    @property
    def has_object_labels(self) -> bool:
        """Whether an object has a label."""
        return any(thing.label for image in self.images for thing in image.objects)
