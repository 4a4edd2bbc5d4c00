"""Every format that is read, and which one a path holds."""

from pathlib import Path

from lightning_tasks.data.tables.csv_table import quote
from lightning_tasks.data.tables.formats.annotations import Annotations
from lightning_tasks.data.tables.formats.celeba import CelebA
from lightning_tasks.data.tables.formats.class_folders import ClassFolders
from lightning_tasks.data.tables.formats.coco.reader import Coco
from lightning_tasks.data.tables.formats.csv.reader import CsvTables
from lightning_tasks.data.tables.formats.cvat.reader import Cvat
from lightning_tasks.data.tables.formats.deeplabcut import DeepLabCut
from lightning_tasks.data.tables.formats.label_studio.reader import LabelStudio
from lightning_tasks.data.tables.formats.labelme import LabelMe
from lightning_tasks.data.tables.formats.lists import Lists
from lightning_tasks.data.tables.formats.none_words import take_out_none
from lightning_tasks.data.tables.formats.parquet.reader import ParquetFiles
from lightning_tasks.data.tables.formats.pts_files import PtsFiles
from lightning_tasks.data.tables.formats.reader import Reader, ReadOptions
from lightning_tasks.data.tables.formats.source import Source
from lightning_tasks.data.tables.formats.via.reader import Via
from lightning_tasks.data.tables.formats.voc.reader import Voc
from lightning_tasks.data.tables.formats.yolo.reader import Yolo
from lightning_tasks.errors import ConfigError, TableError
from lightning_tasks.filesystem import why_file_has_no_content

READERS: tuple[Reader, ...] = (
    CelebA(),
    ClassFolders(),
    Coco(),
    CsvTables(),
    Cvat(),
    DeepLabCut(),
    LabelMe(),
    LabelStudio(),
    Lists(),
    ParquetFiles(),
    PtsFiles(),
    Via(),
    Voc(),
    Yolo(),
)


def read_annotations(path: Path, options: ReadOptions, format_name: str | None = None) -> Annotations:
    """Return what a file or a folder of annotations says.

    Args:
        path: a file, or a folder.
        options: what the user says of them.
        format_name: one of the readers' names; None: recognised by the content.

    Raises:
        ConfigError: there is no such format.
        LightningTasksError: no format fits, or several do, or something in the files cannot be used.
    """
    source = Source(path)
    annotations = choose_reader(source, format_name, has_columns=bool(options.columns)).read(source, options)
    take_out_none(annotations, options.none)
    return annotations


def choose_reader(source: Source, format_name: str | None = None, *, has_columns: bool = False) -> Reader:
    """Return the reader of a name, or the one that recognises what lies there; raises as `read_annotations` does.

    Where the user names columns, it is one that reads them; a table, where none is recognised.
    """
    names = ", ".join(reader.name for reader in READERS)
    if format_name is not None:
        named = next((reader for reader in READERS if reader.name == format_name), None)
        if named is None:
            raise ConfigError(f"There is no format {format_name!r}. --format is one of {names}.")
        return named
    able = [reader for reader in READERS if reader.reads_columns] if has_columns else READERS
    fitting = [reader for reader in able if reader.recognises(source)]
    if has_columns and not fitting:
        return choose_reader(source, CsvTables.name)
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        ways = " or ".join(f"--format {reader.name} ({reader.about})" for reader in fitting)
        raise TableError(f"{source.path}: it fits {len(fitting)} formats. Say which: {ways}.")
    if not source.is_folder and (instead := why_file_has_no_content(source.path)) is not None:
        raise TableError(f"{source.path}: {instead}.")
    if source.is_folder and len(source.images) == len(source.files):
        n = f"{len(source.images):,} images in no folders of classes, and nothing that says what is in them"
        raise TableError(
            f"{source.path}: {n if source.images else 'there is nothing in it'}. Name the annotations' file."
        )
    files = [path for path in source.files if path not in source.images]
    listed = (
        f" Or name one of the files in it: {quote(path.name for path in files[:5])}."
        if source.is_folder and files
        else ""
    )
    raise TableError(f"{source.path}: of no format that is known here. --format names one of {names}.{listed}")
