"""The formats of annotation tools: the one list of them, and what is asked before the work."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from lightning_tasks.atomic_write import require_place
from lightning_tasks.csv_text import STDOUT
from lightning_tasks.deploy.annotation_files.coco import CocoWriter
from lightning_tasks.deploy.annotation_files.cvat import CvatWriter
from lightning_tasks.deploy.annotation_files.file import AnnotationFile
from lightning_tasks.deploy.annotation_files.label_studio import LabelStudioWriter
from lightning_tasks.deploy.annotation_files.writer import AnnotationWriter
from lightning_tasks.deploy.sources import Found
from lightning_tasks.errors import ConfigError
from lightning_tasks.tasks.prediction import AnnotationNames, OutputFormat

Format = Literal["coco", "label-studio", "cvat"]

WRITERS: dict[Format, type[AnnotationWriter]] = dict(
    zip(get_args(Format), (CocoWriter, LabelStudioWriter, CvatWriter), strict=True)
)


def default_output(format: Format | None) -> str:
    """Return where predictions are written if nothing is said."""
    return "predictions.csv" if format is None else f"predictions{WRITERS[format].suffix}"


def check_place(path: Path, format: Format, *, excel: bool, inputs: Sequence[Path]) -> None:
    """Raise ConfigError where a file of this format cannot be written, or would replace an input."""
    suffix = WRITERS[format].suffix
    if excel:
        raise ConfigError(f"--excel is for csv, and --format {format} writes {suffix}. Leave one of them out.")
    if path == STDOUT:
        raise ConfigError(f"--format {format} is written to a file, not to standard output. Name it: --output.")
    if path.suffix != suffix:
        raise ConfigError(f"{path}: --format {format} is written as {suffix}. End --output in it.")
    require_place(path, inputs)
    if (ending := WRITERS[format].setup_ending) is not None:
        require_place(path.with_suffix(ending), inputs)


def require_room(format: Format, output_format: OutputFormat[Any]) -> AnnotationNames:
    """Return what may stand in annotations of a checkpoint; ConfigError: the format has no place for it."""
    names = output_format.annotation_names()
    if not names.kinds:
        raise ConfigError(
            f"--format is for labels, points and numbers, and this checkpoint predicts {output_format.noun}s. Leave it "
            "out, for a table."
        )
    able = [name for name, writer in WRITERS.items() if writer.holds >= set(names.kinds)]
    if format not in able:
        raise ConfigError(
            f"--format {format} has no place for {' and '.join(names.kinds)}, which this checkpoint predicts. Take "
            f"--format {' or '.join(able)}, or leave it out for a table."
        )
    return names


def open_file(
    path: Path, format: Format, output_format: OutputFormat[Any], found: Sequence[Found], checkpoint: str, prefix: str
) -> AnnotationFile:
    """Return a file of annotations for the images that were found; ConfigError: the format has no place for them."""
    writer = WRITERS[format](require_room(format, output_format), checkpoint, prefix)
    file_names = names_in_file(found)
    writer.require_file_names(file_names)
    return AnnotationFile(path, writer, file_names)


def names_in_file(found: Sequence[Found]) -> list[str]:
    """Return the images' names below the folders that were named, by which tools know them.

    Where two images would have the same, and of names on standard input, all stand as they were given.
    """
    if any(image.path.parts[-len(image.name.parts) :] != image.name.parts for image in found):
        return [image.path.as_posix() for image in found]  # a copy's name was made up, to be unlike another
    whole = (image.path.is_absolute() and image.name.parts == image.path.parts[1:] for image in found)
    return [(path if is_whole else name).as_posix() for (path, name), is_whole in zip(found, whole, strict=True)]
