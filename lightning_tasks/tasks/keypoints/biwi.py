"""BIWI Kinect Head Pose as a DataModule, and a drawn sample in its format."""

import albumentations as A
import pandas as pd

from lightning_tasks.data.download.archives import BIWI_HEAD_POSE
from lightning_tasks.data.download.atomic_folder import is_there
from lightning_tasks.data.download.fetch import fetch
from lightning_tasks.data.images.cache import CacheKind
from lightning_tasks.data.loading.skipping import OnBadImage
from lightning_tasks.data.tables.csv_table import Complain, raise_at_once
from lightning_tasks.data.tables.splits import Splitter
from lightning_tasks.errors import ConfigError
from lightning_tasks.tasks.keypoints.biwi_files import PERSON_OF_SEQUENCE, LabelFrame, read_biwi
from lightning_tasks.tasks.keypoints.datamodule import KeypointDataModule
from lightning_tasks.tasks.keypoints.sample import draw_biwi


class BiwiDataModule(KeypointDataModule):
    """BIWI Kinect Head Pose: the head's centre in 15,678 frames of 20 people; see `biwi_files.py`.

    `prepare` fetches fastai's archive (450 MB) where root does not exist.

    Args:
        root: the folder that holds the sequences 01 to 24, as in fastai's archive, or a folder with them, as in the
            authors' own.
        validation_sequences: the sequences to validate on; the book's is 13.
        label_frame: `fastbook` for the book's labels, `calibrated` for the true ones, some 14 px away.
        size: see KeypointDataModule, as for all that follow; `fold` groups by person and then decides alone.
        flip: mirror half of the training images.
        max_rotate_deg: training images are turned by up to this.
        max_zoom: and enlarged by up to this factor.
        max_warp: and tilted by up to this, on the −1..1 scale.
        max_lighting: and lit differently by up to this share.
        batch_size: images in a batch, of each process.
        num_workers: processes that load; None: chosen from cores and device.
        cache: where decoded images are kept: `disk`, `ram`, `none`, or `auto`.
        cache_dir: the folder of the cache on disk; None: the user's cache folder.
        cache_limit_gb: no cache is larger.
        decode_side: images are reduced to this shorter side; see KeypointDataModule.
        device_cache: copy the cache to the device that trains, and transform there.
        on_bad_image: what a frame that cannot be read is: an `error`; or `skip` it, and say so after each epoch.
        max_bad_share: more frames of a split than this share are an error all the same.
        fold: validate on this fold of the people, 0 to folds − 1.
        folds: how many folds.
        split_seed: of the folds.
        seed: of order and augmentation.
        mirrors: further addresses of biwi_head_pose.tgz, or paths of it, which `prepare` tries first.
        splitter: from Python: table → (training rows, validation rows).
        train_transform: from Python, in place of the book's.
        valid_transform: likewise.
    """

    def __init__(
        self,
        root: str = "data/biwi_head_pose",
        validation_sequences: list[int] | None = None,
        label_frame: LabelFrame = "fastbook",
        size: int | tuple[int, int] = (240, 320),
        flip: bool | None = None,
        max_rotate_deg: float = 10.0,
        max_zoom: float = 1.1,
        max_warp: float = 0.2,
        max_lighting: float = 0.2,
        batch_size: int = 64,
        num_workers: int | None = None,
        cache: CacheKind = "auto",
        cache_dir: str | None = None,
        cache_limit_gb: float = 16.0,
        decode_side: int | None = None,
        device_cache: bool = False,
        on_bad_image: OnBadImage = "error",
        max_bad_share: float = 0.01,
        fold: int | None = None,
        folds: int = 5,
        split_seed: int = 42,
        seed: int = 42,
        mirrors: list[str] | None = None,
        splitter: Splitter | None = None,
        train_transform: A.Compose | None = None,
        valid_transform: A.Compose | None = None,
    ) -> None:
        super().__init__(
            root=root,
            csv=".",
            size=size,
            flip=flip,
            max_rotate_deg=max_rotate_deg,
            max_zoom=max_zoom,
            max_warp=max_warp,
            max_lighting=max_lighting,
            batch_size=batch_size,
            num_workers=num_workers,
            cache=cache,
            cache_dir=cache_dir,
            cache_limit_gb=cache_limit_gb,
            decode_side=decode_side,
            device_cache=device_cache,
            on_bad_image=on_bad_image,
            max_bad_share=max_bad_share,
            fold=fold,
            folds=folds,
            split_seed=split_seed,
            seed=seed,
            splitter=splitter,
            train_transform=train_transform,
            valid_transform=valid_transform,
        )
        numbers = [13] if validation_sequences is None else validation_sequences
        self.validation_sequences = [f"{number:02d}" for number in numbers]
        self.label_frame: LabelFrame = label_frame
        self.mirrors = mirrors or []

    def prepare_data(self) -> None:
        """Fetch the archive if root does not exist."""
        fetch(BIWI_HEAD_POSE, self.root, self.mirrors)

    def read_main_table(self, complain: Complain = raise_at_once) -> pd.DataFrame:
        """Return one row for each frame, with `is_valid` from the validation sequences unless a fold decides."""
        table = read_biwi(self.root, self.label_frame)
        if self.fold is None:
            table["is_valid"] = self._is_valid(table)
        return table

    def setup(self, stage: str) -> None:
        """Check every row before the first batch."""
        if stage == "test":
            raise ConfigError(
                "BIWI has no test table. Score other sequences with validate --data.validation_sequences."
            )
        super().setup(stage)

    def _is_valid(self, table: pd.DataFrame) -> "pd.Series[bool]":
        present = sorted(table["sequence"].unique())
        for sequence in self.validation_sequences:
            if sequence not in present:
                raise ConfigError(
                    f"data.validation_sequences: {self.root} has no {sequence}; it has {', '.join(present)}."
                )
        people = {PERSON_OF_SEQUENCE[sequence] for sequence in self.validation_sequences}
        for sequence in present:
            if PERSON_OF_SEQUENCE[sequence] in people and sequence not in self.validation_sequences:
                raise ConfigError(
                    f"data.validation_sequences: sequence {sequence} shows {PERSON_OF_SEQUENCE[sequence]}, who is in "
                    "the validation sequences too: name all sequences of a person, or none."
                )
        return table["sequence"].isin(self.validation_sequences)


class BiwiSampleDataModule(BiwiDataModule):
    """Drawn heads in BiwiDataModule's format, for trying things out without a network; `prepare` draws them."""

    def prepare_data(self) -> None:
        """Draw the sample if root does not exist."""
        if not is_there(self.root):
            draw_biwi(self.root)
