"""BIWI Kinect Head Pose as a DataModule, and a drawn sample in its format."""

from typing import Any

import pandas as pd

from lightning_tasks.data.download.archives import BIWI_HEAD_POSE
from lightning_tasks.data.download.atomic_folder import is_there
from lightning_tasks.data.download.fetch import fetch
from lightning_tasks.data.tables.csv_table import OnError, raise_error
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
        validation_sequences: the sequences to validate on; fastai's is 13. `fold` groups by person, and then decides
            alone.
        label_frame: `fastbook` for fastai's labels, `calibrated` for the true ones, some 14 px away.
        mirrors: further addresses of biwi_head_pose.tgz, or paths of it, which `prepare` tries first.
        kwargs: see `KeypointDataModule`; its tables, its split and its points are BIWI's own.
    """

    def __init__(
        self,
        root: str = "data/biwi_head_pose",
        validation_sequences: list[int] | None = None,
        label_frame: LabelFrame = "fastbook",
        mirrors: list[str] | None = None,
        **kwargs: Any,  # noqa: ANN401 - the parent's
    ) -> None:
        super().__init__(
            root=root,
            csv=".",
            images=".",
            test_csv=None,
            test_images=None,
            swap_pairs=None,
            point_names=None,
            valid_fraction=0.2,
            **kwargs,
        )
        self.validation_sequences = validation_sequences
        self.label_frame: LabelFrame = label_frame
        self.mirrors = mirrors or []

    def prepare_data(self) -> None:
        """Fetch the archive if root does not exist."""
        fetch(BIWI_HEAD_POSE, self.root, self.mirrors)

    def read_main_table(self, on_error: OnError = raise_error) -> pd.DataFrame:
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
        numbers = [13] if self.validation_sequences is None else self.validation_sequences
        held_out = [f"{number:02d}" for number in numbers]
        for sequence in held_out:
            if sequence not in present:
                raise ConfigError(
                    f"data.validation_sequences: {self.root} has no {sequence}; it has {', '.join(present)}."
                )
        people = {PERSON_OF_SEQUENCE[sequence] for sequence in held_out}
        for sequence in present:
            if PERSON_OF_SEQUENCE[sequence] in people and sequence not in held_out:
                raise ConfigError(
                    f"data.validation_sequences: sequence {sequence} shows {PERSON_OF_SEQUENCE[sequence]}, who is in "
                    "the validation sequences too: name all sequences of a person, or none."
                )
        return table["sequence"].isin(held_out)


class BiwiSampleDataModule(BiwiDataModule):
    """Drawn heads in BiwiDataModule's format, for trying things out without a network; `prepare` draws them."""

    def prepare_data(self) -> None:
        """Draw the sample if root does not exist."""
        if not is_there(self.root):
            draw_biwi(self.root)
