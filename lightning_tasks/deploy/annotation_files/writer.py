"""What is written of each image, and what stands around that: the part of a file that is a format's own."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar, NamedTuple

from lightning_tasks.errors import ConfigError
from lightning_tasks.filesystem import as_text
from lightning_tasks.tasks.prediction import Annotation, AnnotationNames

# All that XML 1.0 cannot hold, and the return, which its readers take for a line feed.
_NOT_IN_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class ImageEntry(NamedTuple):
    """An image of the file; its size is that of the upright image, as the tools show it."""

    position: int  # from 0, among all images that were asked for, also those that could not be read
    name: str  # of its file, with / between folders
    width_px: int
    height_px: int


class Setup(NamedTuple):
    """A second file, which tells the tool what may be annotated."""

    text: str
    use: str  # what to do with it


class AnnotationWriter(ABC):
    """A format: sections of entries, and the text around them.

    Positions are written as they are predicted, in pixels of which the top-left one's centre is (0, 0); no half pixel
    is added, whatever the tool counts from. Where it counts from the image's corner, as CVAT and Label Studio do, a
    point is shown half a pixel further up and left; their own converters to and from COCO do the same.

    Args:
        names: what may stand in an annotation.
        checkpoint: what predicts, for a person to read.
        prefix: what stands before each file name.
    """

    suffix: ClassVar[str]
    holds: ClassVar[frozenset[str]]  # which `AnnotationNames.kinds`
    separator: ClassVar[str] = ",\n"
    sections: ClassVar[int] = 1
    setup_ending: ClassVar[str | None] = None  # in place of the file's own; None: there is no `setup`

    def __init__(self, names: AnnotationNames, checkpoint: str, prefix: str) -> None:
        self.names = names
        self.checkpoint = as_text(checkpoint)
        self.prefix = as_text(prefix)

    @abstractmethod
    def entries(self, image: ImageEntry, annotation: Annotation) -> tuple[list[str], ...]:
        """Return what stands of an image in each section."""

    @abstractmethod
    def frame(self, num_images: int) -> tuple[str, ...]:
        """Return what stands before the first section, between sections, and after the last."""

    def setup(self) -> Setup | None:
        """Return what is written beside; None: the format says it all."""
        return None

    def require_file_names(self, names: Iterable[str]) -> None:  # noqa: B027 - most can hold any
        """Raise ConfigError where the format cannot hold an image's name."""

    def name_of(self, image: ImageEntry) -> str:
        """Return the image's name as it stands in the file."""
        return self.prefix + as_text(image.name)

    def hint(self) -> str | None:
        """Return what the user should know of the file names."""
        return None


def require_xml(texts: Iterable[str], format: str) -> None:
    """Raise ConfigError where a name has a character that XML cannot hold."""
    for text in texts:
        if found := _NOT_IN_XML.search(text):
            raise ConfigError(
                f"{text!r} has the character {found[0]!r}, which the XML of --format {format} cannot hold. Rename "
                "it, or leave --format out, for a table."
            )
