"""A Hugging Face data set's parquet: images as bytes or paths, and what is said of them; one file or those of splits.

The names of the classes stand in the schema. Images that are held in it are written to a folder, all of them or none.
Boxes of objects are COCO's x, y, width and height, in pixels.
"""

import re
from pathlib import Path

from lightning_tasks.data.tables.formats.annotations import Annotations
from lightning_tasks.data.tables.formats.csv.annotate import join
from lightning_tasks.data.tables.formats.image_names import split_of_folder
from lightning_tasks.data.tables.formats.parquet.file import ParquetFile
from lightning_tasks.data.tables.formats.reader import Reader, ReadOptions
from lightning_tasks.data.tables.formats.source import Source
from lightning_tasks.data.tables.formats.stored_images import write_stored_images
from lightning_tasks.errors import TableError

_MAGIC = b"PAR1"


class ParquetFiles(Reader):
    """Rows of images."""

    name = "parquet"
    about = "parquet of a Hugging Face data set"
    reads_columns = True

    def recognises(self, source: Source) -> bool:
        """Return whether a file is parquet, or whether a folder holds some."""
        return bool(_files(source))

    def read(self, source: Source, options: ReadOptions) -> Annotations:
        """Return what the rows say; images among them are written to `options.workspace`."""
        paths = _files(source)
        if not paths:
            raise TableError(f"{source.path}: not a parquet file, or a folder of them. Download it again.")
        splits = [_split_of(path, source.folder) for path in paths]
        if len(set(splits)) == 1:
            splits = [""] * len(paths)
        stems = ["-".join(path.relative_to(source.folder).with_suffix("").parts) for path in paths]
        files = [ParquetFile(path, stem, options) for path, stem in zip(paths, stems, strict=True)]
        read = [file.annotate(options) for file in files]
        annotations = join(read, splits, paths)
        annotations.found = f"parquet, {len(paths):,} files: {len(annotations.images):,} images"
        if any(file.holds_images for file in files):
            kept = {image.name for image in annotations.images}
            stored = (one for file in files for one in file.stored_images() if one[0] in kept)
            names = write_stored_images(options.workspace, stored)
            annotations.images = [
                image._replace(name=names.get(image.name, image.name)) for image in annotations.images
            ]
        return annotations


def _files(source: Source) -> list[Path]:
    def is_parquet(path: Path) -> bool:
        try:
            with path.open("rb") as file:
                return file.read(len(_MAGIC)) == _MAGIC
        except OSError:
            return False

    paths = source.with_ending(".parquet", ".pq") if source.is_folder else [source.path]
    return [path for path in paths if is_parquet(path)]


def _split_of(path: Path, folder: Path) -> str:
    said = [re.split(r"[-._]", path.stem)[0], *path.relative_to(folder).parts[:-1]]
    return next((split for name in said if (split := split_of_folder(name))), "")
