"""A file of annotations on its way: what was predicted waits beside its place, and appears whole."""

import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from lightning_tasks.atomic_write import nearest_folder, write_whole
from lightning_tasks.data.images.decode import Size
from lightning_tasks.deploy.annotation_files.writer import AnnotationWriter, ImageEntry
from lightning_tasks.deploy.prediction_table import PredictionOutput, Row
from lightning_tasks.errors import ConfigError
from lightning_tasks.tasks.prediction import Annotation


class _Kept(NamedTuple):
    """What is whole so far."""

    rows: int
    images: int
    ends: tuple[int, ...]  # of each section's bytes


class AnnotationFile(PredictionOutput):
    """Annotations of images, in the memory of one batch.

    Args:
        path: the place; what belongs to the format lies beside, under its stem.
        writer: the format.
        names: of all images in order, as they stand in the file.
    """

    errors_lie = None  # the file has no place for what could not be read: all is told

    def __init__(self, path: Path, writer: AnnotationWriter, names: Sequence[str]) -> None:
        self.path = path
        self._writer = writer
        self._beside = path.with_suffix(writer.setup_ending or path.suffix)
        self._names = names
        self._errors: list[str] = []
        # No names on the disk: nothing is left of them, however the process ends.
        folder = nearest_folder(path)
        self._sections: list[IO[bytes]] = [
            tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - `close` does
            for _ in range(writer.sections)
        ]
        self._kept = _Kept(0, 0, (0,) * writer.sections)

    @property
    def num_rows(self) -> int:
        """How many images were looked at."""
        return self._kept.rows

    @property
    def errors(self) -> list[str]:
        """Why images are not in the file."""
        return self._errors

    def add(self, rows: Sequence[Row]) -> None:
        """Take the next images; ConfigError: the disk is full."""
        self.add_annotations(
            (None if row.prediction is None else row.prediction.annotation(), row.size) for row in rows
        )
        self._errors += [row.error for row in rows if row.error is not None]

    def add_annotations(self, images: Iterable[tuple[Annotation | None, Size]]) -> None:
        """Take what is written of the next images, and their heights and widths; None: the image is left out.

        Raises:
            ConfigError: the disk is full.
        """
        entries: list[list[str]] = [[] for _ in self._sections]
        rows, written, ends = self._kept
        for annotation, (height, width) in images:
            if annotation is not None:
                image = ImageEntry(rows, self._names[rows], width, height)
                for section, more in zip(entries, self._writer.entries(image, annotation), strict=True):
                    section += more
                written += 1
            rows += 1
        try:
            ends = tuple(self._append(number, section) for number, section in enumerate(entries))
        except OSError as error:
            raise ConfigError(f"{self.path} cannot be written ({error.strerror}). Choose another place.") from error
        # At once, wherever Ctrl-C comes: what lies behind the ends does not count.
        self._kept = _Kept(rows, written, ends)

    def write(self) -> None:
        """Put the file, and what belongs to it, in their places; ConfigError: they cannot be written."""
        if (setup := self._writer.setup()) is not None:
            write_whole(self._beside, lambda new: new.write_text(setup.text, encoding="utf-8"))
        write_whole(self.path, self._join)

    def close(self) -> None:
        """Let go of what waits on the disk."""
        for section in self._sections:
            section.close()

    def remarks(self) -> dict[str, list[str]]:
        """Return what lies beside and what to do with it."""
        setup, hint = self._writer.setup(), self._writer.hint()
        beside = [] if setup is None else [f"{self._beside}  ({setup.use})"]
        return {"labels": beside, "file names": [] if hint is None else [hint]}

    def _append(self, number: int, entries: Sequence[str]) -> int:
        """Write a section's next entries, and return where it ends then."""
        section, end = self._sections[number], self._kept.ends[number]
        if entries:
            text = (self._writer.separator if end else "") + self._writer.separator.join(entries)
            section.write(text.encode("utf-8"))
        return section.tell()

    def _join(self, new: Path) -> None:
        first, *behind = self._writer.frame(self._kept.images)
        with new.open("wb") as file:
            file.write(first.encode("utf-8"))
            for section, end, text in zip(self._sections, self._kept.ends, behind, strict=True):
                section.truncate(end)
                section.seek(0)
                shutil.copyfileobj(section, file)
                file.write(text.encode("utf-8"))
