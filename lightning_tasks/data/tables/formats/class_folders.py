"""A folder for each class, as torchvision's ImageFolder has it; `train`, `val` and `test` may stand above them."""

import os
from pathlib import Path

from lightning_tasks.data.tables.formats.annotations import AnnotatedImage, Annotations
from lightning_tasks.data.tables.formats.image_names import split_of_folder
from lightning_tasks.data.tables.formats.reader import Reader, ReadOptions
from lightning_tasks.data.tables.formats.source import Source

_ANNOTATIONS = (".csv", ".tsv", ".json", ".xml", ".txt", ".parquet", ".pts", ".yaml", ".yml")


class ClassFolders(Reader):
    """Images whose folder is their label."""

    name = "folders"
    about = "a folder for each class"

    def recognises(self, source: Source) -> bool:
        """Return whether there are images in at least two folders of one depth, and no annotations beside them."""
        if not source.is_folder or source.with_ending(*_ANNOTATIONS):
            return False
        folder = _common_folder(source)
        return len({labelled(folder, path)[1] for path in source.images} - {""}) > 1

    def read(self, source: Source, options: ReadOptions) -> Annotations:
        """Return an image's folder as its one label; images that lie in no folder are left out."""
        images: list[AnnotatedImage] = []
        folder = _common_folder(source)
        annotations = Annotations(images, folder, f"a folder for each class, {len(source.images):,} images")
        for path in source.images:
            split, label = labelled(folder, path)
            if not label:
                annotations.left_out["images in no folder of a class"] += 1
                continue
            name = path.relative_to(folder).as_posix()
            images.append(AnnotatedImage(name, str(path), (label,), split=split))
        if inner := next((label for image in images for label in image.labels if "/" in label), None):
            annotations.notes.append(f"folders in folders are labels, too, with / between them: {inner!r}")
        return annotations


def _common_folder(source: Source) -> Path:
    """Return the folder that all images are below: of `images/train/cat/1.jpg` and its like `images`."""
    return Path(os.path.commonpath([path.parent for path in source.images])) if source.images else source.path


def labelled(folder: Path, path: Path) -> tuple[str, str]:
    """Return an image's split and its label; "" for what its folders do not say."""
    above = path.relative_to(folder).parts[:-1]
    split = split_of_folder(above[0]) if above else ""
    return split, "/".join(above[1:] if split else above)
