"""Another tool's annotations as a table of our own."""

import contextlib
import os
import shlex
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lightning_tasks.atomic_write import require_place, write_whole
from lightning_tasks.csv_text import write_rows
from lightning_tasks.data.tables.formats.annotations import Annotations
from lightning_tasks.data.tables.formats.collector import collector_at_rest
from lightning_tasks.data.tables.formats.csv.reader import read_own_table
from lightning_tasks.data.tables.formats.csv.text_table import TextTable
from lightning_tasks.data.tables.formats.images import images_folder, sample
from lightning_tasks.data.tables.formats.reader import MinusOne, ReadOptions
from lightning_tasks.data.tables.formats.readers import read_annotations
from lightning_tasks.data.tables.formats.zip_files import unpack_zip
from lightning_tasks.errors import ConfigError, TableError
from lightning_tasks.filesystem import exists, is_file, is_folder
from lightning_tasks.tasks.registry import TASKS
from lightning_tasks.tasks.table_draft import Instances, TableDraft
from lightning_tasks.tasks.task import Task

_LOOKED_AT = 1_000  # images, where many are missing
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")  # of which the first is unpacked


@dataclass(frozen=True)
class Converted:
    """A table that was written, and what its config is to say."""

    table: Path
    images: str  # the folder that its file names start from, seen from the table's folder
    label_separator: str
    vocab: list[str] | None
    swap_pairs: list[list[str]] | None
    is_written: bool  # False: it was one of ours already
    is_new: bool  # there was none before


def convert(path: str, output: str | None = None, force: bool = False, **kwargs: Any) -> None:  # noqa: ANN401 - of convert_annotations
    """Write a table of our own from the annotations of another tool.

    Args:
        path: a csv, tsv, json, xml, txt or parquet file, a folder, or a zip of them.
        output: the table; None: labels.csv, points.csv or values.csv, in the current folder.
        force: write over a table that is there.
        kwargs: see `convert_annotations`.

    Raises:
        LightningTasksError: no format fits, or something in the annotations cannot be used.
    """
    done = convert_annotations(path, output, force, **kwargs)
    if not done.is_written:
        print(f"table            {done.table}  (one of ours already: nothing is written)")
    separator = f" --data.label_separator {shlex.quote(done.label_separator)}" * (done.label_separator != "auto")
    places = {"root": str(done.table.parent), "csv": done.table.name, "images": done.images}
    arguments = " ".join(f"--data.{name} {shlex.quote(place)}" for name, place in places.items())
    print(f"arguments        {arguments}{separator}")


@collector_at_rest()
def convert_annotations(
    path: str,
    output: str | None = None,
    force: bool = False,
    format: str | None = None,
    task: str | None = None,
    images: str | None = None,
    columns: str | None = None,
    encoding: str | None = None,
    label_separator: str = "auto",
    none: list[str] | str | None = None,
    minus_one: MinusOne = "auto",
    instances: Instances = "one",
) -> Converted:
    """Write the table of annotations, and say what was found; a table of ours stays as it is.

    Args:
        path: a csv, tsv, json, xml, txt or parquet file, a folder, or a zip of them.
        output: the table; None: the task's own name for it, in the current folder.
        force: write over a table that is there.
        format: what the annotations are; None: recognised by their content.
        task: multilabel, keypoints or values; None: by what they say.
        images: the folder of the images, seen from here or from the annotations; None: found beside these.
        columns: of a csv, its own names for ours: 'fname=image_id,labels=tags'.
        encoding: of text that is neither UTF-8 nor says what it is: latin-1, say.
        label_separator: stands between labels in a cell; `none`: each cell is one label; `auto`: guessed.
        none: words that say that an image has none of the labels, such as 'No Finding'.
        minus_one: what -1 in a column of a label says: `unknown` or `absent`; `auto`: absent where all cells of such
            columns are 1 or -1, else unknown.
        instances: of several objects with points in an image: `one` refuses it, `largest` takes the largest.

    Raises:
        LightningTasksError: no format fits, or something in the annotations cannot be used.
    """
    folder = Path(output).parent if output else Path()
    options = ReadOptions(
        columns=parse_columns(columns),
        encoding=encoding,
        none=(none,) if isinstance(none, str) else tuple(none or ()),
        minus_one=minus_one,
    )
    if format is None and (own := _own_table(Path(path), options, task)) is not None:
        _require_same(Path(path), output)
        return Converted(Path(path), _images_of(own, images), label_separator, None, None, False, False)
    workspace = folder / f"{Path(path).stem}_images"
    source = _unpacked(Path(path), folder)
    given = _folders_named(images, source)[0] if images is not None else None
    options = replace(options, images=given, label_separator=label_separator, workspace=workspace)
    annotations = read_annotations(source, options, format)
    chosen = _choose_task(annotations, task)
    draft = chosen.draft_table(annotations, instances)
    table = Path(output) if output else _default_table(Path(path), chosen)
    require_place(table, [Path(path)] if exists(path) else [])
    if table.suffix.lower() != ".csv":
        raise ConfigError(f"{table}: a table of ours is written as csv. End its name in .csv.")
    if exists(table) and not force:
        raise ConfigError(f"{table} is there already. Name another table, or replace it with --force true.")
    n, is_new = 0, not exists(table)

    def write(new: Path) -> None:
        nonlocal n
        n = write_rows(new, draft.header, draft.rows)

    write_whole(table, write)
    _tell(annotations, draft, table, n, chosen)
    images_seen = _seen_from(table.parent, annotations.folder)
    return Converted(table, images_seen, draft.label_separator, draft.vocab, annotations.swap_pairs, True, is_new)


def _own_table(path: Path, options: ReadOptions, task: str | None) -> TextTable | None:
    """Return the table of a path that is one of ours already, and in which nothing would be read otherwise.

    Its columns are of one kind, or of the task that is asked for among others.
    """
    table = read_own_table(path, options) if is_file(path) else None
    tasks = [known for known in TASKS if table is not None and known.recognises(table.header)]
    is_ours = len({known.targets for known in tasks}) == 1 or any(known.name == task for known in tasks)
    return table if is_ours else None


def _require_same(path: Path, output: str | None) -> None:
    if output is not None and not (exists(output) and path.samefile(output)):
        raise ConfigError(
            f"{path} is a table of ours already, and {output} would not be written. Leave that name out; or say "
            "--format csv, which reads the table as any other and writes it."
        )


def _images_of(own: TextTable, given: str | None) -> str:
    """Return the folder of the images of a table of ours, seen from the table's; see `_folders_named`."""
    beside, names = own.path.parent, own.column("fname")
    if given is None:
        return os.path.relpath(images_folder(beside, names, None), beside)
    some = sample(names)
    folder = max(_folders_named(given, own.path), key=lambda place: sum(is_file(place / name) for name in some))
    return _seen_from(beside, folder)


def _folders_named(images: str, source: Path) -> list[Path]:
    """Return the folders that `--images` may mean: seen from the current one, and from that of the annotations.

    ConfigError: there is none.
    """
    beside = source if is_folder(source) else source.parent
    folders = [place for place in dict.fromkeys((Path(images), beside / images)) if is_folder(place)]
    if not folders:
        raise ConfigError(
            f"There is no folder {images} (--images), seen from here or from {beside}. Name the images' folder."
        )
    return folders


def _seen_from(folder: Path, images: Path) -> str:
    """Return the folder of the images as a config says it: seen from the table's, unless it was named absolutely."""
    return str(images) if images.is_absolute() else os.path.relpath(images, folder)


def parse_columns(text: str | None) -> dict[str, str]:
    """Return {"fname": "image_id"} for `fname=image_id`; ConfigError where it is not of that form."""
    pairs = [part.partition("=") for part in (text or "").split(",") if part.strip()]
    for ours, equals, theirs in pairs:
        if not (ours.strip() and equals and theirs.strip()):
            raise ConfigError(f"--columns {text!r}: write our name, = and the file's: 'fname=image_id,labels=tags'.")
    return {ours.strip(): theirs.strip() for ours, _, theirs in pairs}


def _unpacked(path: Path, folder: Path) -> Path:
    is_zip = False
    with contextlib.suppress(OSError):
        is_zip = zipfile.is_zipfile(path)
    if not is_zip:
        if path.suffix.lower() in _ARCHIVES and is_file(path):
            raise TableError(f"{path}: no zip, or one that is cut off. Get it again, or unpack it and name the folder.")
        return path
    target = folder / path.stem
    unpack_zip(path, target)
    return target


def _choose_task(annotations: Annotations, name: str | None) -> Task:
    """Return the task that the user names, or the one that the annotations are meant for."""
    known = [task for task in TASKS if task.table_name]
    names = ", ".join(task.name for task in known)
    if name is not None:
        named = next((task for task in known if task.name == name), None)
        if named is None:
            raise ConfigError(f"--task {name!r}: there is no such task; it is one of {names}.")
        return named
    meant = [task for task in known if task.is_meant(annotations)]
    if len(meant) == 1:
        return meant[0]
    if meant:
        kinds = " and ".join(task.targets for task in meant)
        ways = " or ".join(f"--task {task.name}" for task in meant)
        raise TableError(f"{annotations.found}: it holds {kinds}. Say which are meant: {ways}.")
    kinds = ", ".join(task.targets for task in known)
    left_out = _left_out(annotations)
    raise TableError(f"{annotations.found}: it says nothing of {kinds}{f' ({left_out})' * bool(left_out)}.")


def _default_table(path: Path, task: Task) -> Path:
    table = Path(task.table_name)
    return table.with_name(f"own_{table.name}") if exists(table) and exists(path) and table.samefile(path) else table


def _tell(annotations: Annotations, draft: TableDraft, table: Path, n: int, task: Task) -> None:
    print(f"found            {annotations.found}")
    if left_out := _left_out(annotations):
        print(f"left out         {left_out}")
    for note in (*annotations.notes, *draft.notes):
        print(f"note             {note}")
    looked_at = annotations.images[:: -(-len(annotations.images) // _LOOKED_AT)]
    if not any(is_file(annotations.folder / image.name) for image in looked_at):
        print(f"note             no image is found in {annotations.folder}: --images names their folder")
    print(f"table            {table}  ({task.targets}, {n:,} rows; images in {annotations.folder})")


def _left_out(annotations: Annotations) -> str:
    return ", ".join(f"{n:,} {what}" for what, n in annotations.left_out.items() if n)
