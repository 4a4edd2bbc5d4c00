"""PASCAL VOC 2007 as a DataModule, and a drawn sample in its format."""

from pathlib import Path

import albumentations as A
import pandas as pd

from lightning_tasks.data.download.archives import PASCAL_2007
from lightning_tasks.data.download.atomic_folder import is_there
from lightning_tasks.data.download.fetch import fetch
from lightning_tasks.data.images.cache import CacheKind
from lightning_tasks.data.loading.skipping import OnBadImage
from lightning_tasks.data.tables.csv_table import Complain, is_image_set, raise_at_once
from lightning_tasks.data.tables.splits import Splitter
from lightning_tasks.filesystem import is_file
from lightning_tasks.tasks.multilabel.datamodule import Difficult, MultiLabelDataModule
from lightning_tasks.tasks.multilabel.sample import draw_pascal
from lightning_tasks.tasks.multilabel.voc import find_voc, read_voc

# What fastai's layout and VOC's own tree call the same things.
_OFFICIAL = {
    "train.csv": "ImageSets/Main/trainval.txt",
    "train": "JPEGImages",
    "test.csv": "ImageSets/Main/test.txt",
    "test": "JPEGImages",
}


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

    `prepare` fetches fastai's archive (1.6 GB) where root does not exist. Arguments: see MultiLabelDataModule; `csv`
    and `test_csv` may name other image sets, such as `VOCdevkit/VOC2007/ImageSets/Main/train.txt`; and

    Args:
        mirrors: further addresses of pascal_2007.tgz, or paths of it, which `prepare` tries first.
    """

    def __init__(
        self,
        root: str = "data/pascal_2007",
        csv: str = "train.csv",
        images: str = "train",
        test_csv: str | None = "test.csv",
        test_images: str | None = "test",
        difficult: Difficult = "ignored",
        size: int | tuple[int, int] = 128,
        start_size: int | None = None,
        min_scale: float = 0.35,
        flip_p: float = 0.0,
        val_xtra: float = 0.14,
        mixup_alpha: float = 0.0,
        cutmix_alpha: float = 0.0,
        batch_size: int = 64,
        num_workers: int | None = None,
        cache: CacheKind = "auto",
        cache_dir: str | None = None,
        cache_limit_gb: float = 16.0,
        decode_side: int | None = None,
        device_cache: bool = False,
        on_bad_image: OnBadImage = "error",
        max_bad_share: float = 0.01,
        allow_outside: bool = False,
        valid_fraction: float = 0.2,
        fold: int | None = None,
        folds: int = 5,
        split_seed: int = 42,
        train_on_valid: bool = False,
        seed: int = 42,
        mirrors: list[str] | None = None,
        vocab: list[str] | None = None,
        splitter: Splitter | None = None,
        train_transform: A.Compose | None = None,
        valid_transform: A.Compose | None = None,
    ) -> None:
        super().__init__(
            root=root,
            csv=csv,
            images=images,
            test_csv=test_csv,
            test_images=test_images,
            difficult=difficult,
            size=size,
            start_size=start_size,
            min_scale=min_scale,
            flip_p=flip_p,
            val_xtra=val_xtra,
            mixup_alpha=mixup_alpha,
            cutmix_alpha=cutmix_alpha,
            batch_size=batch_size,
            num_workers=num_workers,
            cache=cache,
            cache_dir=cache_dir,
            cache_limit_gb=cache_limit_gb,
            decode_side=decode_side,
            device_cache=device_cache,
            on_bad_image=on_bad_image,
            max_bad_share=max_bad_share,
            allow_outside=allow_outside,
            valid_fraction=valid_fraction,
            fold=fold,
            folds=folds,
            split_seed=split_seed,
            train_on_valid=train_on_valid,
            seed=seed,
            vocab=vocab,
            splitter=splitter,
            train_transform=train_transform,
            valid_transform=valid_transform,
        )
        self.mirrors = mirrors or []
        self._find_official()

    def setup(self, stage: str) -> None:
        """Read the tables and check every row before the first batch; see MultiLabelDataModule."""
        self._find_official()  # which may not have been there when this was made
        super().setup(stage)

    def read_table(self, path: Path, complain: Complain = raise_at_once) -> pd.DataFrame:
        """Return the checked table of a csv, or of one of VOC's image sets."""
        return read_voc(path, complain) if is_image_set(path) else super().read_table(path, complain)

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
