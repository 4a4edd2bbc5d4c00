"""PASCAL VOC 2007 as a DataModule, and a drawn sample in its format: no network, no licence, learnt in a minute."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lightning_tasks.data.download.archives import PASCAL_2007
from lightning_tasks.data.download.atomic_folder import atomic_folder, is_there
from lightning_tasks.data.download.fetch import fetch
from lightning_tasks.data.drawn_image import noisy_background, write_image
from lightning_tasks.data.images.decode import Image
from lightning_tasks.data.images.opencv import cv2
from lightning_tasks.data.tables.csv_table import OnError, is_image_set, raise_error
from lightning_tasks.filesystem import is_file
from lightning_tasks.tasks.multilabel.datamodule import MultiLabelDataModule
from lightning_tasks.tasks.multilabel.voc import find_voc, read_voc

# What fastai's layout and VOC's own tree call the same things.
_OFFICIAL = {
    "train.csv": "ImageSets/Main/trainval.txt",
    "train": "JPEGImages",
    "test.csv": "ImageSets/Main/test.txt",
    "test": "JPEGImages",
}
SHAPES = ("circle", "cross", "ring", "square", "triangle")  # of the sample
_HUES = (0, 30, 60, 100, 140)  # OpenCV's hue of each shape, give or take


class PascalDataModule(MultiLabelDataModule):
    """PASCAL VOC 2007, in fastai's layout or in VOC's own.

    fastai's: `train.csv`, `train/`, `test.csv`, `test/`. VOC's own: `JPEGImages`, `Annotations`, `ImageSets`, where
    `root` is `VOC2007`, `VOCdevkit`, or the folder that holds it; it is read where root holds it and no `train.csv`.
    They differ in difficult objects, which fastai's csv counts like all others. By VOC's annotations an image has a
    class with an object that is not difficult; a class with difficult ones alone counts as `difficult` says.

    Homepage: http://host.robots.ox.ac.uk/pascal/VOC/voc2007/. 20 classes; 5,011 images for training, of which the
    column `is_valid` holds out VOC's own validation half (2,501 / 2,510), and 4,952 for testing. The images come
    from Flickr, under its terms of use. Source: Everingham, Van Gool, Williams, Winn, Zisserman, "The PASCAL Visual
    Object Classes (VOC) Challenge", IJCV 88(2), 2010.

    `prepare` fetches fastai's archive (1.6 GB) where root does not exist.

    Args:
        root: the data set's folder, or for VOC's own layout one that holds it.
        csv: the table, in root; it may name another image set, such as `VOCdevkit/VOC2007/ImageSets/Main/train.txt`.
        images: the folder in root that file names start from.
        test_csv: the table of the test images, in root; likewise.
        test_images: the folder of the test images.
        mirrors: further addresses of pascal_2007.tgz, or paths of it, which `prepare` tries first.
        kwargs: see `MultiLabelDataModule`.
    """

    def __init__(
        self,
        root: str = "data/pascal_2007",
        csv: str = "train.csv",
        images: str = "train",
        test_csv: str | None = "test.csv",
        test_images: str | None = "test",
        mirrors: list[str] | None = None,
        **kwargs: Any,  # noqa: ANN401 - the parent's
    ) -> None:
        super().__init__(root=root, csv=csv, images=images, test_csv=test_csv, test_images=test_images, **kwargs)
        self.mirrors = mirrors or []
        self._find_official()

    def setup(self, stage: str) -> None:
        """Read the tables and check every row before the first batch; see MultiLabelDataModule."""
        self._find_official()  # which may not have been there when this was made
        super().setup(stage)

    def read_table(self, path: Path, on_error: OnError = raise_error) -> pd.DataFrame:
        """Return the checked table of a csv, or of one of VOC's image sets."""
        return read_voc(path, on_error) if is_image_set(path) else super().read_table(path, on_error)

    def _find_official(self) -> None:
        tree = find_voc(self.root)
        if tree is not None and self.csv == self.root / "train.csv" and not is_file(self.csv):
            self.csv = tree / _OFFICIAL["train.csv"]
        if is_image_set(self.csv):
            official = {self.root / fastais: self.csv.parents[2] / own for fastais, own in _OFFICIAL.items()}
            self.images = official.get(self.images, self.images)
            self.test_csv = self.test_csv and official.get(self.test_csv, self.test_csv)
            self.test_images = official.get(self.test_images, self.test_images)

    def prepare_data(self) -> None:
        """Fetch the archive if root does not exist."""
        fetch(PASCAL_2007, self.root, self.mirrors)


class PascalSampleDataModule(PascalDataModule):
    """Drawn shapes in PascalDataModule's format, for trying things out without a network; `prepare` draws them."""

    def prepare_data(self) -> None:
        """Draw the sample if root does not exist."""
        if not is_there(self.root):
            draw_pascal(self.root)


def draw_pascal(root: Path, n: int = 400, seed: int = 0) -> None:
    """Draw `n` images of up to three coloured shapes each: `train/*.jpg` and `train.csv`, a quarter `is_valid`.

    One image in twenty shows none of them. The folder appears complete or not at all; one that is there stays.
    """
    rng = np.random.default_rng(seed)
    with atomic_folder(root) as folder:
        if is_there(root):
            return
        (folder / "train").mkdir()
        lines = ["fname,labels,is_valid"]
        for i in range(n):
            count = 0 if i % 20 == 19 else int(rng.integers(1, 4))
            shapes = sorted(rng.choice(len(SHAPES), size=count, replace=False))
            image = noisy_background(rng, 128, 160)
            for shape in shapes:
                _draw_shape(image, SHAPES[shape], _HUES[shape], rng)
            name = f"{i:06d}.jpg"
            write_image(folder / "train" / name, image)
            lines.append(f"{name},{' '.join(SHAPES[shape] for shape in shapes)},{i % 4 == 3}")
        (folder / "train.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _draw_shape(image: Image, shape: str, hue: int, rng: np.random.Generator) -> None:
    height, width = image.shape[:2]
    r = int(rng.integers(12, 26))
    x, y = (int(rng.integers(r, side - r)) for side in (width, height))
    hsv = np.array([[[(hue + rng.integers(-6, 7)) % 180, rng.integers(170, 256), rng.integers(170, 256)]]], np.uint8)
    colour = tuple(int(c) for c in cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0])
    if shape == "circle":
        cv2.circle(image, (x, y), r, colour, -1, cv2.LINE_AA)
    elif shape == "ring":
        cv2.circle(image, (x, y), r - 3, colour, 6, cv2.LINE_AA)
    elif shape == "square":
        cv2.rectangle(image, (x - r, y - r), (x + r, y + r), colour, -1)
    elif shape == "triangle":
        cv2.fillPoly(image, [np.array([(x, y - r), (x - r, y + r), (x + r, y + r)])], colour, cv2.LINE_AA)
    else:
        cv2.line(image, (x - r, y), (x + r, y), colour, 8)
        cv2.line(image, (x, y - r), (x, y + r), colour, 8)
