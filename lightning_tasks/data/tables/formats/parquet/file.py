"""One parquet file of a data set: what its schema declares, its rows as a table, and the images in it."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lightning_tasks.data.tables.csv_table import plain_name, quote
from lightning_tasks.data.tables.formats.annotations import Annotations
from lightning_tasks.data.tables.formats.csv.annotate import annotate
from lightning_tasks.data.tables.formats.csv.text_table import TextTable
from lightning_tasks.data.tables.formats.images import ImagesNear
from lightning_tasks.data.tables.formats.parquet import cells as cells_of
from lightning_tasks.data.tables.formats.reader import ReadOptions
from lightning_tasks.errors import MissingLibraryError, TableError, what_is_wrong

_ROWS = 64  # that are held at once, with their images
_LABEL_NAMES = ("label", "labels")


class ParquetFile:
    """What is read of a file, but for its images."""

    def __init__(self, path: Path, stem: str, options: ReadOptions) -> None:
        """`stem`: what the files of its images are called by.

        Raises:
            TableError: it cannot be read, or its columns cannot be told apart.
            MissingLibraryError: pyarrow is not installed.
        """
        self._path = path
        with _reading(path) as file:
            schema = file.schema_arrow
            self._features = _features(schema.metadata or {})
            kinds = {name: str(schema.field(name).type) for name in schema.names}
            images = [name for name, kind in kinds.items() if cells_of.is_image(self._features.get(name), kind)]
            self._image = options.columns.get("fname") or _only(path, images, "fname", ("image",))
            self._rows: dict[str, list[Any]] = file.read(columns=[n for n in kinds if n not in images]).to_pydict()
            self._n: int = file.metadata.num_rows
            self.holds_images = self._image in images and _holds_images(file, self._image)
            self._names: list[str] | None = None  # of the images that stand in a column of their own kind
            if self.holds_images:
                self._names = [f"{stem}-{row:06d}" for row in range(self._n)]
            elif self._image in images:
                read = file.read(columns=[f"{self._image}.path"]).column(0)
                self._names = [image["path"] or "" for image in read.to_pylist()]
        self._unread = [name for name in images if name != self._image]

    def annotate(self, options: ReadOptions) -> Annotations:
        """Return what the rows say; images that are held here are called by their rows. Raises as any table does."""
        columns, labels, objects = self._columns(options)
        given = columns.get(labels or "")
        rows = [row for row in range(self._n) if given is None or given[row] is not None]
        table = self._table(columns, rows, objects)
        said = dict(options.columns)
        if self._names is not None and self._image:
            said["fname"] = self._image
        if labels is not None or objects is not None:
            said["labels"] = labels or _class_column(objects, self._features)
        folder = self._path.parent
        images = _StoredNames(options.workspace) if self.holds_images else ImagesNear(folder, options.images)
        annotations = annotate(table, replace(options, columns=said), images)
        if n_missing := self._n - len(rows):
            annotations.left_out["images whose label is not given"] = n_missing
        if self._unread:
            annotations.left_out[f"columns ({', '.join(self._unread)})"] = len(self._unread)
        return annotations

    def stored_images(self) -> Iterator[tuple[str, bytes, str]]:
        """Return each row's name, its image's bytes, and where it is for messages; a few rows are held at once."""
        if not self.holds_images or self._names is None:
            return
        row = 0
        with _reading(self._path) as file:
            for batch in file.iter_batches(_ROWS, columns=[self._image]):
                for value in batch.column(0).to_pylist():
                    content = value.get("bytes") if isinstance(value, dict) else value
                    where = f"{self._path}: row {row + 1}, column {self._image!r}"
                    if not content:
                        raise TableError(f"{where}: there is no image. Take the row out.")
                    yield self._names[row], content, where
                    row += 1

    def _columns(self, options: ReadOptions) -> tuple[dict[str, Sequence[str | None]], str | None, str | None]:
        """Return the cells of each column, None where a class is not given; that of labels, and that of objects."""
        columns: dict[str, Sequence[str | None]] = {}
        nested = []
        if self._names is not None and self._image:
            columns[self._image] = self._names
        classes = {name: cells_of.names_of_classes(self._features.get(name)) for name in self._rows}
        for name, values in self._rows.items():
            names = classes[name]
            text = cells_of.class_cells(self._path, name, values, names) if names else cells_of.text_cells(values)
            if text is None:
                nested.append(name)
            else:
                columns[name] = text
        declared = [name for name, names in classes.items() if names]
        labels = options.columns.get("labels") or _only(self._path, declared, "labels", _LABEL_NAMES)
        of_objects = [name for name in nested if cells_of.objects_of(self._features.get(name))]
        objects = of_objects[0] if of_objects and labels is None else None
        self._unread += [name for name in nested if name != objects]
        return columns, labels, objects

    def _table(self, columns: dict[str, Sequence[str | None]], rows: list[int], objects: str | None) -> TextTable:
        header, numbers = list(columns), [row + 1 for row in rows]
        cells = [[columns[name][row] or "" for name in header] for row in rows]
        if objects is not None:
            key, names = cells_of.objects_of(self._features[objects]) or ("", [])
            header = [*header, _class_column(objects, self._features), *cells_of.BOX_COLUMNS]
            boxes = [
                cells_of.box_rows(self._path, objects, row + 1, self._rows[objects][row], key, names) for row in rows
            ]
            numbers = [number for number, found in zip(numbers, boxes, strict=True) for _ in found]
            cells = [[*row, *box] for row, found in zip(cells, boxes, strict=True) for box in found]
        if not cells:
            raise TableError(f"{self._path}: there is no row with a label in it. Name another file.")
        return TextTable(self._path, ",", header, cells, numbers)


@dataclass
class _StoredNames:
    """The images of a file that holds them: each row's is called by the row."""

    folder: Path

    def count(self, names: Sequence[str]) -> int:
        return len(names)

    def locate(self, names: Sequence[str]) -> tuple[Path, dict[str, str]]:
        return self.folder, {name: name for name in names}


def _class_column(objects: str | None, features: dict[str, Any]) -> str:
    found = cells_of.objects_of(features.get(objects or ""))
    return f"{objects}.{found[0]}" if found else ""


def _holds_images(file: Any, image: str | None) -> bool:  # noqa: ANN401 - pyarrow has no types
    """Return whether the first row's image is in a file, and not at a path."""
    for batch in file.iter_batches(1, columns=[image]):
        first = batch.column(0).to_pylist()[0]
        return not isinstance(first, dict) or first.get("bytes") is not None
    return False


def _only(path: Path, names: list[str], ours: str, known: tuple[str, ...]) -> str | None:
    """Return the one name, or the one that is well known; None: there is none. TableError: there are several."""
    if len(names) > 1 and not (names := [name for name in names if plain_name(name) in known] or names)[1:]:
        return names[0]
    if len(names) > 1:
        way_out = f"Say which: --columns '{ours}={names[0]}'."
        raise TableError(f"{path}: several columns may be the {ours}: {quote(names)}. {way_out}")
    return names[0] if names else None


def _features(metadata: dict[bytes, bytes]) -> dict[str, Any]:
    try:
        found = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[Any]:
    """Open a file; TableError: it is damaged. MissingLibraryError: nobody here reads parquet."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingLibraryError("parquet needs pyarrow: pip install 'lightning-tasks[parquet]'") from error
    try:
        with parquet.ParquetFile(path) as file:
            yield file
    except (pyarrow.ArrowException, OSError) as error:
        raise TableError(f"{path}: cannot be read as parquet ({what_is_wrong(error)}). Download it again.") from error
