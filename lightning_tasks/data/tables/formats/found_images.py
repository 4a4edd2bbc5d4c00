"""Which files the images of annotations are, each looked for where it should lie before the folders are searched."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

from lightning_tasks.data.tables.formats.image_names import ImageNames, has_ending, images_folder, plain_name
from lightning_tasks.data.tables.formats.source import Source
from lightning_tasks.filesystem import is_file, is_folder


class FoundImages:
    """The images below a folder: the one given; else that of the annotations where images are below it; else near it.

    Args:
        source: the annotations.
        names: the images' names in them.
        given: the folder that the user names.
    """

    def __init__(self, source: Source, names: Sequence[str], given: Path | None) -> None:
        if given is None and source.is_folder and source.images:
            self.folder = source.path
            self.paths = source.images
        else:
            self.folder = images_folder(source.folder, [plain_name(name) for name in names], given)

    @cached_property
    def paths(self) -> list[Path]:
        """All of them."""
        return Source(self.folder).images if is_folder(self.folder) else []

    @cached_property
    def _names(self) -> ImageNames:
        return ImageNames(self.folder, self.paths)

    @cached_property
    def _by_stem(self) -> dict[str, str]:
        stems: dict[str, str] = {}
        for path in self.paths:
            name = path.relative_to(self.folder)
            stems.setdefault(name.with_suffix("").as_posix(), name.as_posix())
        return stems

    def of_stem(self, stem: str) -> str | None:
        """Return the image of a path without its ending, seen from the folder; None: there is none."""
        return self._by_stem.get(stem)

    def find(self, names: Iterable[str]) -> str | None:
        """Return the first file of several names, seen from the folder; else what a name means; None: nothing.

        A name may lack its ending, as those of a video's frames do.
        """
        tried = [plain_name(name) for name in names]
        for name in tried:
            if is_file(self.folder / name):
                return name
        for name in tried:
            if not has_ending(name) and (image := self.of_stem(name)):
                return image
        found = (self._names.find(name) for name in tried)
        return next((name for name in found if is_file(self.folder / name)), None)
